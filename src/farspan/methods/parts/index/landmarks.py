"""A chunk is represented by its mean key, and the chunks that this represents worst are remembered as they are
(ShadowKV, arXiv 2410.21465, section 4).

Shapes: G KV heads, N new chunks, B tokens in a chunk, D key width, O outliers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.notes import NewBlocks, Notes
from farspan.methods.parts.window_share import window_share

LANDMARK = "landmark"
_PIECE_CHUNKS = 1024
_KEYS, _ROWS, _UNLIKE = "outlier_keys", "outlier_rows", "outlier_unlike"


class Outliers(NamedTuple):
    """The chunks of a layer that their landmarks represent worst: keys `[G, O, B, D]`, rows `[G, O]`, -1 for none."""

    k_GOBD: Tensor
    row_GO: Tensor

    @classmethod
    def noted(cls, notes: Notes) -> Self:
        """Those that a layer remembers."""
        return cls(notes[_KEYS], notes[_ROWS] - 1)


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The mean of a chunk's un-rotated keys; of `outliers` chunks of each KV head all keys, exactly.

    Outliers are the chunks with the least cosine between a key and the mean, of all that were stored so far. An
    `outliers` of None is 48, and a 170th of the model's window where that is less.
    """

    outliers: int | None = None
    needs_mass: bool = False
    needs_queries: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the number of outliers for a model trained on `window` tokens."""
        return self if self.outliers is not None else replace(self, outliers=window_share(window, 170, 48))

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """The outliers' keys, their rows counted from 1, and how unlike their landmarks they are."""
        assert self.outliers is not None
        return (
            Column(_KEYS, shape.heads, (self.outliers, shape.tokens, shape.key_dim), shape.dtype),
            Column(_ROWS, shape.heads, (self.outliers,), torch.int64),
            Column(_UNLIKE, shape.heads, (self.outliers,), torch.float32),
        )

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """Queries are not remembered."""
        return {}

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """The worst of those that are still there and the new ones; of equals the earlier."""
        k_GNBD, known = new.k_GNBD, notes[_ROWS].shape[1]
        row_N = new.first + 1 + torch.arange(k_GNBD.shape[1], device=k_GNBD.device)
        there_GO = notes[_ROWS] > new.oldest
        row_Gn = torch.cat((notes[_ROWS] * there_GO, row_N.expand(k_GNBD.shape[0], -1)), 1)
        unlike_Gn = torch.cat((notes[_UNLIKE] * there_GO, *map(unlike, k_GNBD.split(_PIECE_CHUNKS, dim=1))), 1)
        unlike_Gn, order_Gn = unlike_Gn.sort(dim=1, descending=True, stable=True)
        at_GO = order_Gn[:, :known]
        old_GOBD = _picked(notes[_KEYS], at_GO.clamp(max=known - 1))
        new_GOBD = _picked(k_GNBD, (at_GO - known).clamp(min=0))
        return {
            _KEYS: torch.where((at_GO < known)[..., None, None], old_GOBD, new_GOBD),
            _ROWS: row_Gn.gather(1, at_GO),
            _UNLIKE: unlike_Gn[:, :known].clone(),
        }

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """One vector of key width for every KV head."""
        return (Column(LANDMARK, facts.kv_heads, (facts.key_dim,), torch.float32),)

    def rows(self, blocks: BlockTokens) -> Rows:
        """Mean keys: `[G, N, D]`."""
        return {LANDMARK: blocks.k_GNBD.float().mean(2)}


def _picked(k_GNBD: Tensor, at_GO: Tensor) -> Tensor:
    return k_GNBD.gather(1, at_GO[..., None, None].expand(-1, -1, *k_GNBD.shape[2:]))


def unlike(k_GNBD: Tensor) -> Tensor:
    """One less the least cosine of a chunk's keys to their mean: `[G, N]`, 0 where all are one."""
    k_GNBD = k_GNBD.float()
    return 1 - torch.cosine_similarity(k_GNBD, k_GNBD.mean(2, keepdim=True), dim=-1).amin(-1)
