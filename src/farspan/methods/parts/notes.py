"""What the parts of a method may remember of each layer: a few tensors that a stream keeps for it.

Shapes: H query heads, G KV heads, T query tokens, O tokens that are remembered, N blocks, B tokens in a block, S tokens
at hand, D key width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from farspan.cache.columns import BlockShape, Column

Notes = Mapping[str, Tensor]
"""What the parts of a method remember of one layer, by name: replaced, never changed."""


class NewBlocks(NamedTuple):
    """What is about to be stored: un-rotated keys in rows, the first of which will be number `first`.

    `oldest` is the first row that is still there; `at_hand` are the keys of sinks and recent tokens, `[G, S, D]` each,
    the new ones among them.
    """

    k_GNBD: Tensor
    first: int
    oldest: int
    at_hand: tuple[Tensor, ...]


class Noting(Protocol):
    """A part that may remember something of each layer: tensors of a fixed size that a stream keeps for it."""

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """What it remembers of a layer whose rows are of this shape; all zeros at first."""
        ...

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """What has changed once these un-rotated queries are answered."""
        ...

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """What has changed when these rows are about to be stored."""
        ...


class NoNotes:
    """A part that remembers nothing of a layer."""

    __slots__ = ()

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """Nothing."""
        return ()

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """Nothing new."""
        return {}

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """Nothing new."""
        return {}


def last_queries(name: str, count: int, shape: BlockShape) -> Column:
    """A note of the last `count` queries of every query head; zeros where there are not so many yet."""
    return Column(name, shape.heads * shape.group, (count, shape.key_dim), shape.dtype)


def newest(held_HOD: Tensor, new_HTD: Tensor) -> Tensor:
    """As many of the last tokens as are held already: the newest take the place of the oldest."""
    return torch.cat((held_HOD, new_HTD), dim=1)[:, -held_HOD.shape[1] :].contiguous()
