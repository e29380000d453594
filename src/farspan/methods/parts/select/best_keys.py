"""For every query head and token, the blocks that hold its best keys, by an exact scan of all keys.

Shapes: H query heads, T tokens, n blocks in a piece, B tokens in a block, X blocks chosen, N = H * T searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, together, works

_PIECE_TOKENS = 8192
_FETCHED = 8192


@dataclass(frozen=True, slots=True)
class BestKeys:
    """The `count` blocks with the largest single key for a query: what every cheaper selection approximates."""

    count: int = 8
    when: When = "answering"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Every token fetches its own blocks, so few tokens go together, and fewer where each fetches many."""
        return together(self.count, _FETCHED) if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks of every head and token."""
        if not works(self.when, search.answering):
            return
        rows_NX = best_rows(self._scored(search), search.at_most(self.count))
        if rows_NX is not None:
            yield from fetch(search, rows_NX, heads_of(search, per_token=True), per_head=True, per_token=True)

    def _scored(self, search: Search) -> Iterator[tuple[int, Tensor]]:
        for first, product_NnB in search.products(max(1, _PIECE_TOKENS // search.block)):
            yield first, product_NnB.amax(-1)
