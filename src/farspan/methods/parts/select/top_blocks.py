"""One set of blocks for all heads of a layer and all queries of a chunk (InfLLM, arXiv 2402.04617, section 3.2).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, n blocks in a piece, D key width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch

from farspan.methods.parts.axes import Fetched, Search
from farspan.methods.parts.index.attention_mass import COLUMN
from farspan.methods.parts.select.ranking import When, best_rows, fetch, works

_PIECE_BLOCKS = 8192


@dataclass(frozen=True, slots=True)
class TopBlocks:
    """The `count` blocks whose representatives, summed over heads, have the largest dot product with the mean query.

    The lookup is made once for every `chunk` tokens; None: 512, and an eighth of the window where that is less.
    """

    count: int = 16
    chunk: int | None = None
    when: When = "both"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the chunk for a model trained on `window` tokens."""
        return self if self.chunk is not None else replace(self, chunk=max(1, min(512, window // 8)))

    def cadence(self, answering: bool) -> int | None:
        """One lookup for so many tokens."""
        return self.chunk if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks, the same ones for every head and token of the chunk."""
        if not works(self.when, search.answering):
            return
        width = search.q_HTD.shape[-1]
        q_GD = search.q_HTD.float().mean(1).view(search.kv_heads, -1, width).sum(1)
        scored = (
            (first, torch.mv(rows[COLUMN].movedim(1, 0).flatten(1), q_GD.flatten()).unsqueeze(0))
            for first, rows in search.arena.scan((COLUMN,), _PIECE_BLOCKS)
        )
        rows_1X = best_rows(scored, self.count)
        if rows_1X is None:
            return
        heads_G = torch.arange(search.kv_heads, device=q_GD.device)
        yield fetch(search, rows_1X.expand(search.kv_heads, -1), heads_G, per_head=False, per_token=False)
