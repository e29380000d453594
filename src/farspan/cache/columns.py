"""What one row (one block) of a layer's memory is made of: its keys, its values, what stands for it in a search."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Rows = dict[str, Tensor]
"""Consecutive blocks: for every column a tensor `[G, n, *shape]`, KV heads first."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a block: `shape` is what each of the `heads` KV heads stores for it; one head is shared by all.

    `by_token`: the first axis of `shape` are the block's tokens, and each can be read without the others.
    """

    name: str
    heads: int
    shape: tuple[int, ...]
    dtype: torch.dtype
    by_token: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes that one block takes in this column, all KV heads together."""
        return self.heads * math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What a block of one layer holds before it is encoded: `tokens` keys and values for each KV head, in `dtype`.

    `group` query heads share a KV head.
    """

    heads: int
    tokens: int
    key_dim: int
    value_dim: int
    dtype: torch.dtype
    group: int = 1


def row_bytes(columns: tuple[Column, ...]) -> int:
    """Bytes that one block takes in all columns."""
    return sum(column.row_bytes for column in columns)


def slot_bytes(columns: tuple[Column, ...]) -> int:
    """Bytes that one KV head's part of a block takes in all columns."""
    return sum(column.row_bytes // column.heads for column in columns)


def count_rows(rows: Rows) -> int:
    """How many blocks `rows` holds."""
    return next(iter(rows.values())).shape[1]
