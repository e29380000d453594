"""Keys as coordinates along a few directions that all heads share (ShadowKV, arXiv 2410.21465, section 3.1).

Shapes: G KV heads, N blocks or searches, B tokens in a block, D key width, E value width, S keys at hand, W = G * D the
keys of a token side by side, R directions; M queries of a KV head; ... any dims in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NewBlocks, Notes
from farspan.methods.parts.searching import products

_BASIS = "basis"
_RANK = 160
_MOST_SHARE = 5 / 8
_LEAST = 1e-6
_PIECE_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class LowRankKeys:
    """Store of a token's un-rotated keys, all KV heads side by side, the products with `rank` directions.

    Directions are orthonormal and belong to a layer: those along which the keys at hand are largest when the first
    block is stored. Where these keys do not span so many, later ones add what is missing; none is ever changed, so that
    what is stored stays true. A rank of None is the authors' 160, whichever the model, and 5 / 8 of a token's keys
    where that is less: 160 of the 256 numbers of GLM-4, the narrowest that they take. Values are stored as they are.
    """

    rank: int | None = None
    lossless: bool = False
    key_columns: tuple[str, ...] = ("k",)
    value_columns: tuple[str, ...] = ("v",)

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """The directions, zero where there is none yet."""
        return (Column(_BASIS, shape.heads, (self._rank(shape), shape.key_dim), torch.float32),)

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """Queries are not remembered."""
        return {}

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """Fill up the directions from the keys at hand, while some are missing."""
        basis_GRD = notes[_BASIS]
        basis_RW = basis_GRD.transpose(0, 1).flatten(1)
        known = int(basis_RW.any(-1).sum())
        if known == basis_RW.shape[0]:
            return {}
        added_nW = _directions(new.at_hand, basis_RW)[: basis_RW.shape[0] - known]
        grown_RW = basis_RW.clone()
        grown_RW[known : known + added_nW.shape[0]] = added_nW
        return {_BASIS: grown_RW.unflatten(1, (basis_GRD.shape[0], -1)).transpose(0, 1).contiguous()}

    def columns(self, shape: BlockShape) -> tuple[Column, ...]:
        """One set of coordinates a token for all heads together."""
        return (
            Column("k", 1, (shape.tokens, self._rank(shape)), shape.dtype, by_token=True),
            Column("v", shape.heads, (shape.tokens, shape.value_dim), shape.dtype, by_token=True),
        )

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """Project on the directions."""
        code_NBR = torch.einsum("gnbd,grd->nbr", k_GNBD.float(), around.notes[_BASIS])
        return {"k": code_NBR.to(k_GNBD.dtype)[None], "v": v_GNBE}

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """A head's part of what the coordinates stand for."""
        code, basis_GRD = rows["k"], by.notes[_BASIS]
        code = code.expand(len(by.heads_N), *code.shape[1:])
        found = code.new_empty((*code.shape[:-1], by.shape.key_dim), dtype=by.shape.dtype)
        for head, basis_RD in enumerate(basis_GRD):
            at_n = (by.heads_N == head).nonzero().squeeze(1)
            found[at_n] = torch.matmul(code[at_n].float(), basis_RD).to(by.shape.dtype)
        return found

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """What queries have along the directions meets the coordinates."""
        q_GMR = q_GMD.float() @ by.notes[_BASIS].mT
        return products(q_GMR, rows["k"].expand(len(q_GMR), *rows["k"].shape[1:]))

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """The column itself."""
        return rows["v"]

    def _rank(self, shape: BlockShape) -> int:
        width = shape.heads * shape.key_dim
        usual = max(1, min(_RANK, int(width * _MOST_SHARE)))
        return usual if self.rank is None else min(self.rank, width)


def _directions(keys: Iterable[Tensor], basis_RW: Tensor) -> Tensor:
    """Directions `[n, W]`, the largest first, of what a basis leaves of keys `[G, S, D]`; none that rounding made."""
    size = 0.0
    gram_WW = basis_RW.new_zeros((basis_RW.shape[1],) * 2)
    for part_GSD in (part_GSD for k_GSD in keys for part_GSD in k_GSD.split(_PIECE_TOKENS, dim=1)):
        k_SW = part_GSD.float().transpose(0, 1).flatten(1)
        rest_SW = k_SW - (k_SW @ basis_RW.T) @ basis_RW
        gram_WW += rest_SW.T @ rest_SW
        size += float(k_SW.square().sum())
    worth_W, direction_WW = torch.linalg.eigh(gram_WW.cpu().double())
    directions_nW: Tensor = direction_WW.T.flip(0)[worth_W.flip(0) > _LEAST * size]
    return directions_nW.to(basis_RW)
