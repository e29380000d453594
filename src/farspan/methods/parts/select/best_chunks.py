"""For every query head and token, the blocks whose chunk keys match it best (LongHeads, arXiv 2402.10685, section 3.2).

Shapes: H query heads, T tokens, n blocks in a piece, D key width, X blocks chosen, N = H * T searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.methods.parts.index.chunk_keys import COLUMN
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, works
from farspan.methods.parts.window_share import window_share

_PIECE_BLOCKS = 2048
_FETCHED = 32768
_ALWAYS = 3


@dataclass(frozen=True, slots=True)
class BestChunks:
    """As many blocks of `chunk` tokens as fill up `tokens` beside the first and the last two, by the product of the
    un-rotated query, as it is met at position 0, with their chunk keys.

    `tokens` of None are the window, and 4,096 at most; a `chunk` of None is a 16th of the window, and 256 at most.
    """

    tokens: int | None = None
    chunk: int | None = None
    when: When = "both"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the lengths for a model trained on `window` tokens."""
        tokens = window_share(window, 1, 4096) if self.tokens is None else self.tokens
        chunk = window_share(window, 16, 256) if self.chunk is None else self.chunk
        return replace(self, tokens=tokens, chunk=chunk)

    @property
    def count(self) -> int:
        """Blocks that are chosen."""
        assert self.tokens is not None and self.chunk is not None
        return max(1, self.tokens // self.chunk - _ALWAYS)

    def cadence(self, answering: bool) -> int | None:
        """Every token fetches its own blocks, so few tokens go together."""
        assert self.chunk is not None
        return max(1, _FETCHED // (self.count * self.chunk)) if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks of every head and token."""
        if not works(self.when, search.answering):
            return
        rows_NX = best_rows(self._scored(search), search.at_most(self.count))
        if rows_NX is not None:
            yield from fetch(search, rows_NX, heads_of(search, per_token=True), per_head=True, per_token=True)

    def _scored(self, search: Search) -> Iterator[tuple[int, Tensor]]:
        assert search.index is not None
        q_HTD = search.queries.at_start(search.still_HTD.float())
        for first, rows in search.index.scan((COLUMN,), _PIECE_BLOCKS):
            yield first, torch.matmul(q_HTD, rows[COLUMN].transpose(1, 2)).flatten(0, 1)
