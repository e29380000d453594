"""Blocks that are looked up by what stands for them (InfLLM, arXiv 2402.04617, section 3.2).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, n blocks in a piece, D key width, X blocks chosen,
N searches: one, or H.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

from farspan.attention.choosing import matching_rows
from farspan.methods.parts.index.one_key import COLUMN
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, works
from farspan.methods.parts.window_share import window_share

_PIECE_BLOCKS = 8192
Heads = Literal["shared", "own"]
HEADS: dict[str, Heads] = {"shared": "shared", "own": "own"}


@dataclass(frozen=True, slots=True)
class TopBlocks:
    """The `count` blocks whose representatives have the largest dot product with the chunk's mean query.

    `shared` heads add their products up and fetch the same blocks, as in the paper; otherwise each query head fetches
    its own. The lookup is made once for every `chunk` tokens; None: 512, and an eighth of the window where that is
    less.
    """

    count: int = 16
    chunk: int | None = None
    when: When = "both"
    heads: Heads = "shared"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the chunk for a model trained on `window` tokens."""
        return self if self.chunk is not None else replace(self, chunk=window_share(window, 8, 512))

    def cadence(self, answering: bool) -> int | None:
        """One lookup for so many tokens."""
        return self.chunk if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks for all tokens of the chunk."""
        if not works(self.when, search.answering):
            return
        own = self.heads == "own"
        rows_NX = matching(search, self.count, shared=not own)
        if rows_NX is None:
            return
        searches = search.q_HTD.shape[0] if own else search.kv_heads
        heads_N = heads_of(search, per_token=False) if own else torch.arange(searches, device=rows_NX.device)
        yield from fetch(search, rows_NX.expand(searches, -1), heads_N, per_head=own, per_token=False)


def matching(search: Search, count: int, *, shared: bool, in_order: bool = True) -> Tensor | None:
    """The rows of an index of single keys that match the chunk's mean query best: `[N, X]`, or None without any."""
    assert search.index is not None
    keys = ((first, rows[COLUMN]) for first, rows in search.index.scan((COLUMN,), _PIECE_BLOCKS))
    return matching_rows(search.queries, keys, search.at_most(count), shared=shared, in_order=in_order)
