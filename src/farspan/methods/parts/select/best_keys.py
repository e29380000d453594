"""For every query head and token, the blocks that hold its best keys, by an exact scan of all keys.

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, n blocks in a piece, B tokens in a block,
D key width, X blocks chosen, N = H * T searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.attention.kernels import key_logits
from farspan.attention.softmax import Scoring
from farspan.methods.parts.searching import Fetched, Search, side_by_side
from farspan.methods.parts.select.ranking import When, fetch, heads_of, layers_before, works

_PIECE_TOKENS = 8192
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class BestKeys:
    """The `count` blocks with the largest single key for a query: what every cheaper selection approximates.

    The first `skip` layers fetch nothing; None: the first eighth of them.
    """

    count: int = 8
    when: When = "answering"
    skip: int | None = 0
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Every token fetches its own blocks, so few tokens go together."""
        return _CHUNK if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks of every head and token."""
        skip = len(search.peers) // 8 if self.skip is None else self.skip
        if layers_before(search) < skip or not works(self.when, search.answering):
            return
        rows_NX = best_rows(self._scored(search), self.count)
        if rows_NX is not None:
            yield fetch(search, rows_NX, heads_of(search, per_token=True), per_head=True, per_token=True)

    def _scored(self, search: Search) -> Iterator[tuple[int, Tensor]]:
        heads, tokens, width = search.q_HTD.shape
        q_GMD = search.q_HTD.reshape(search.kv_heads, -1, width)
        for first, k_GnBD in search.keys(max(1, _PIECE_TOKENS // search.block)):
            k_GSD = k_GnBD.reshape(search.kv_heads, -1, width)
            runs = side_by_side(k_GSD, k_GSD, search.block).runs(search.block)
            score_GMS = key_logits(q_GMD, runs, Scoring(1.0))
            yield first, score_GMS.view(heads * tokens, -1, search.block).amax(-1)
