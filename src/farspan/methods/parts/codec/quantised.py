"""Keys and values as small whole numbers (KIVI, arXiv 2402.02750, sections 3 and 4).

Keys share a grid along tokens, one for every channel, because some channels are large in all tokens; values share one
along channels, one for every token. A grid is the least number it has to hold and the step between two. In a block of
so few tokens that a channel's grid would take no less than its codes, keys share theirs along channels, as values do.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width; W the width of what is encoded; n groups,
P the grids, `[n, W]` along tokens and `[B, n]` along channels; M queries of a KV head; ... any leading dims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.attention.codes import CodedKeys
from farspan.attention.kernels import code_products
from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NoNotes
from farspan.methods.parts.searching import products

_GRID = torch.float16
_GRID_BITS = 32
_LIMITS = torch.finfo(_GRID)
_LEAST = 2.0**-24
_TOKENS, _CHANNELS = -2, -1


@dataclass(frozen=True, slots=True)
class QuantisedBlocks(NoNotes):
    """`bits` (8 or 4) a number, and a grid of two half-precision numbers for every `group` numbers or what is left."""

    bits: int = 8
    group: int = 32
    lossless: bool = False
    key_columns: tuple[str, ...] = ("k", "k_grid")
    value_columns: tuple[str, ...] = ("v", "v_grid")

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, shape: BlockShape) -> tuple[Column, ...]:
        """Codes, two of four bits to a byte, and their grids."""
        keys = self._columns("k", shape, shape.key_dim, self._keys_along(shape.tokens))
        return (*keys, *self._columns("v", shape, shape.value_dim, _CHANNELS))

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """Keys and values alike, but for what shares a grid."""
        return self._rows("k", k_GNBD, self._keys_along(k_GNBD.shape[-2])) | self._rows("v", v_GNBE, _CHANNELS)

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """The points of the grid that the codes stand for."""
        along = self._keys_along(by.shape.tokens)
        return self._restore(self._unpack(rows["k"], by.shape.key_dim), rows["k_grid"], along).to(by.shape.dtype)

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """By the codes where there is a kernel that reads them, otherwise by decoded keys."""
        found = None
        if self._keys_along(by.shape.tokens) == _TOKENS:
            group = min(self.group, by.shape.tokens)
            found = code_products(q_GMD, CodedKeys(rows["k"], rows["k_grid"], self.bits, group))
        return products(q_GMD, self.keys(rows, by)) if found is None else found

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """The points of the grid that the codes stand for."""
        codes_NBE = self._unpack(rows["v"], by.shape.value_dim)
        return self._restore(codes_NBE, rows["v_grid"], _CHANNELS).to(by.shape.dtype)

    def _keys_along(self, tokens: int) -> int:
        """Along what the keys of a block of so many tokens share a grid."""
        return _TOKENS if tokens * self.bits > _GRID_BITS else _CHANNELS

    def _columns(self, name: str, shape: BlockShape, width: int, along: int) -> tuple[Column, Column]:
        grids = [shape.tokens, width]
        grids[along] = -(-grids[along] // self.group)
        apart, packed = along == _CHANNELS, -(-width * self.bits // 8)
        return (
            Column(name, shape.heads, (shape.tokens, packed), torch.uint8, by_token=apart or grids[along] == 1),
            Column(f"{name}_grid", shape.heads, (*grids, 2), _GRID, by_token=apart),
        )

    def _rows(self, name: str, x_BW: Tensor, along: int) -> Rows:
        codes_BW, grid_P2 = self._quantise(x_BW, along)
        return {name: self._pack(codes_BW), f"{name}_grid": grid_P2}

    def _quantise(self, x_BW: Tensor, along: int) -> tuple[Tensor, Tensor]:
        """Codes `[..., B, W]` and grids `[..., P, 2]`: no number is further from its point than half a step."""
        x_BW = x_BW.float().clamp(_LIMITS.min, _LIMITS.max)
        parts = x_BW.split(self.group, along)
        low_P = _rounded(torch.cat([part.amin(along, keepdim=True) for part in parts], along), -torch.inf)
        high_P = torch.cat([part.amax(along, keepdim=True) for part in parts], along)
        top = 2**self.bits - 1
        step_P = _rounded((high_P - low_P.float()) / top, torch.inf).clamp_min(_LEAST)
        low_BW, step_BW = (self._spread(grid_P.float(), along, x_BW.shape[along]) for grid_P in (low_P, step_P))
        codes_BW = ((x_BW - low_BW) / step_BW).round_().clamp_(0, top).to(torch.uint8)
        return codes_BW, torch.stack((low_P, step_P), dim=-1)

    def _restore(self, codes_BW: Tensor, grid_P2: Tensor, along: int) -> Tensor:
        length = codes_BW.shape[along]
        low_BW, step_BW = (self._spread(grid_P, along, length) for grid_P in grid_P2.float().unbind(-1))
        return codes_BW.float().mul_(step_BW).add_(low_BW)

    def _spread(self, grid_P: Tensor, along: int, length: int) -> Tensor:
        """Each group's grid for all of its numbers: `[..., P]` to `[..., B, W]`, of which `length` lie along that."""
        return grid_P.repeat_interleave(min(self.group, length), along).narrow(along, 0, length)

    def _pack(self, codes_W: Tensor) -> Tensor:
        """Two codes of four bits to a byte, the first in the low half."""
        if self.bits == 8:
            return codes_W
        if codes_W.shape[-1] % 2:
            codes_W = torch.nn.functional.pad(codes_W, (0, 1))
        return codes_W[..., 0::2] | (codes_W[..., 1::2] << 4)

    def _unpack(self, bytes_W: Tensor, width: int) -> Tensor:
        if self.bits == 8:
            return bytes_W
        return torch.stack((bytes_W & 15, bytes_W >> 4), dim=-1).flatten(-2)[..., :width]


def _rounded(x: Tensor, towards: float) -> Tensor:
    """In half precision, on that side of `x`, so that a grid reaches everything that it was made for."""
    near = x.to(_GRID)
    short = near.float() > x if towards < 0 else near.float() < x
    return torch.where(short, torch.nextafter(near, torch.full_like(near, towards)), near)
