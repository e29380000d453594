"""For every query head and token, the blocks whose keys might match it best (Quest, arXiv 2406.10774, section 3.3).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, M = R * T query rows, n blocks in a piece,
D key width, N = H * T searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.methods.parts.index.bounds import GREATEST, LEAST
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, together, works
from farspan.methods.parts.window_share import window_share

_PIECE_PAGES = 2048
_FETCHED = 131_072
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class BestBounds:
    """As many blocks as hold `tokens` tokens, three at least, by an upper bound on the dot product with their keys.

    The bound is the sum over channels of the greater of query times least key and query times greatest key.
    `tokens` of None are 2,048, and a quarter of the window where that is less.
    """

    tokens: int | None = None
    when: When = "answering"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the number of tokens for a model trained on `window` tokens."""
        return self if self.tokens is not None else replace(self, tokens=window_share(window, 4, 2048))

    def cadence(self, answering: bool) -> int | None:
        """Every token fetches its own blocks, so few tokens go together, and fewer where each fetches many."""
        assert self.tokens is not None
        return together(self.tokens, _FETCHED) if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks of every head and token."""
        if not works(self.when, search.answering):
            return
        assert self.tokens is not None
        count = search.at_most(max(_FEWEST, self.tokens // search.block))
        rows_NX = best_rows(self._scored(search), count)
        if rows_NX is not None:
            yield from fetch(search, rows_NX, heads_of(search, per_token=True), per_head=True, per_token=True)

    def _scored(self, search: Search) -> Iterator[tuple[int, Tensor]]:
        """The greater product is that with the greatest key where the query is positive, with the least elsewhere."""
        heads, tokens, width = search.q_HTD.shape
        q_GMD = search.q_HTD.float().reshape(search.kv_heads, -1, width)
        up_GMD, down_GMD = q_GMD.clamp(min=0), q_GMD.clamp(max=0)
        assert search.index is not None
        for first, rows in search.index.scan((LEAST, GREATEST), _PIECE_PAGES):
            bound_GMn = torch.matmul(up_GMD, rows[GREATEST].transpose(1, 2))
            bound_GMn += torch.matmul(down_GMD, rows[LEAST].transpose(1, 2))
            yield first, bound_GMn.view(heads * tokens, -1)
