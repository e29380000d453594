"""Keys and values as the model made them.

Shapes: G KV heads, N blocks, B tokens in a block, D key width, E value width;
M queries of a KV head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.notes import NoNotes
from farspan.methods.parts.searching import products


@dataclass(frozen=True, slots=True)
class RawBlocks(NoNotes):
    """Nothing is encoded; reading a block copies nothing."""

    lossless: bool = True
    key_columns: tuple[str, ...] = ("k",)
    value_columns: tuple[str, ...] = ("v",)

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, shape: BlockShape) -> tuple[Column, ...]:
        """Keys and values in the model's dtype."""
        return (
            Column("k", shape.heads, (shape.tokens, shape.key_dim), shape.dtype, by_token=True),
            Column("v", shape.heads, (shape.tokens, shape.value_dim), shape.dtype, by_token=True),
        )

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """The tensors themselves."""
        return {"k": k_GNBD, "v": v_GNBE}

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """The column itself."""
        return rows["k"]

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """With the column itself."""
        return products(q_GMD, rows["k"])

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """The column itself."""
        return rows["v"]
