"""Keys and values as small whole numbers (KIVI, arXiv 2402.02750, sections 3 and 4).

Keys share a grid along tokens, one for every channel, because some channels are large in all tokens; values share one
along channels, one for every token. A grid is the least number it has to hold and the step between two.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width; W the width of what is encoded, S what is
cut into groups along it, C what each has a grid of its own for; n groups; M queries of a KV head; ... any leading dims.
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
_LIMITS = torch.finfo(_GRID)
_LEAST = 2.0**-24


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
        heads, tokens = shape.heads, shape.tokens
        key_groups, value_groups = -(-tokens // self.group), -(-shape.value_dim // self.group)
        return (
            Column("k", heads, (tokens, self._packed(shape.key_dim)), torch.uint8, by_token=key_groups == 1),
            Column("k_grid", heads, (key_groups, shape.key_dim, 2), _GRID),
            Column("v", heads, (tokens, self._packed(shape.value_dim)), torch.uint8),
            Column("v_grid", heads, (value_groups, tokens, 2), _GRID),
        )

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """Keys in groups of tokens, values in groups of channels."""
        k_GNBD, k_grid = self._quantise(k_GNBD)
        v_GNEB, v_grid = self._quantise(v_GNBE.transpose(-1, -2))
        return {
            "k": self._pack(k_GNBD),
            "k_grid": k_grid,
            "v": self._pack(v_GNEB.transpose(-1, -2)),
            "v_grid": v_grid,
        }

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """The points of the grid that the codes stand for."""
        return self._restore(self._unpack(rows["k"], by.shape.key_dim), rows["k_grid"]).to(by.shape.dtype)

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """By the codes where there is a kernel that reads them, otherwise by decoded keys."""
        group = min(self.group, by.shape.tokens)
        found = code_products(q_GMD, CodedKeys(rows["k"], rows["k_grid"], self.bits, group))
        return products(q_GMD, self.keys(rows, by)) if found is None else found

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """The points of the grid that the codes stand for."""
        codes = self._unpack(rows["v"], by.shape.value_dim).transpose(-1, -2)
        return self._restore(codes, rows["v_grid"]).transpose(-1, -2).to(by.shape.dtype).contiguous()

    def _quantise(self, x_SC: Tensor) -> tuple[Tensor, Tensor]:
        """Codes `[..., S, C]` and grids `[..., n, C, 2]`: no number is further from its point than half a step."""
        x_SC = x_SC.float().clamp(_LIMITS.min, _LIMITS.max)
        parts = x_SC.split(self.group, dim=-2)
        low_nC = _rounded(torch.stack([part.amin(-2) for part in parts], dim=-2), -torch.inf)
        high_nC = torch.stack([part.amax(-2) for part in parts], dim=-2)
        top = 2**self.bits - 1
        step_nC = _rounded((high_nC - low_nC.float()) / top, torch.inf).clamp_min(_LEAST)
        low_SC, step_SC = (self._spread(grid.float(), x_SC.shape[-2]) for grid in (low_nC, step_nC))
        codes_SC = ((x_SC - low_SC) / step_SC).round_().clamp_(0, top).to(torch.uint8)
        return codes_SC, torch.stack((low_nC, step_nC), dim=-1)

    def _restore(self, codes_SC: Tensor, grid_nC2: Tensor) -> Tensor:
        low_SC, step_SC = (self._spread(grid, codes_SC.shape[-2]) for grid in grid_nC2.float().unbind(-1))
        return codes_SC.float().mul_(step_SC).add_(low_SC)

    def _spread(self, grid_nC: Tensor, length: int) -> Tensor:
        """Each group's grid for all of its numbers: `[..., n, C]` to `[..., S, C]`."""
        return grid_nC.repeat_interleave(min(self.group, length), dim=-2)[..., :length, :]

    def _packed(self, width: int) -> int:
        return -(-width * self.bits // 8)

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
