"""Events by likeness, and their neighbours in time (EM-LLM, Fountas et al. 2024, arXiv 2407.09450, section 3.3).

Shapes: G KV heads, n events in a piece, D key width, C events that compete, X tokens fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.cache.arena import Arena
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import fetch
from farspan.methods.parts.select.top_blocks import matching
from farspan.methods.parts.window_share import window_share

_QUEUE = "contiguity"


@dataclass(frozen=True, slots=True)
class SimilarEvents:
    """As many whole events as come nearest to `n_mem` tokens, the same ones for all heads of a layer.

    A share `contiguity` of these tokens goes to a queue of events next to those that were fetched, newest first: what
    was recalled brings back what came before and after it, for some steps. The rest goes to the events whose
    representatives match the mean query of the chunk best. None for `n_mem`: half of the model's window, 2,048 at most;
    for `chunk`, queries in one lookup: an eighth, 512 at most.
    """

    n_mem: int | None = None
    contiguity: float = 0.3
    chunk: int | None = None
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the lengths for a model trained on `window` tokens."""
        tokens = window_share(window, 2, 2048) if self.n_mem is None else self.n_mem
        chunk = window_share(window, 8, 512) if self.chunk is None else self.chunk
        return replace(self, n_mem=tokens, chunk=chunk)

    def cadence(self, answering: bool) -> int | None:
        """One lookup for so many tokens."""
        return self.chunk

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The tokens of the chosen events, in the order of the text."""
        assert search.index is not None and self.n_mem is not None
        queue_tokens = int(self.n_mem * self.contiguity)
        events = _Events(search.index, search.arena.first)
        ranked_1X = matching(search, self.n_mem, shared=True, in_order=False)
        best = [] if ranked_1X is None else events.nearest(ranked_1X[0].tolist(), self.n_mem - queue_tokens)
        if not best:
            return
        queue = events.nearest(_neighbours(best, search.carried.get(_QUEUE)), queue_tokens)
        search.carried[_QUEUE] = torch.tensor(queue, dtype=torch.int64, device="cpu")
        tokens = [row for event in sorted({*best, *queue}) for row in events.rows(event)]
        rows_GX = torch.tensor(tokens, device=search.q_HTD.device).expand(search.kv_heads, -1)
        heads_G = torch.arange(search.kv_heads, device=rows_GX.device)
        yield from fetch(search, rows_GX, heads_G, per_head=False, per_token=False)


class _Events:
    """The events of a layer by number, of which those that lie whole in the store can be fetched."""

    def __init__(self, index: Arena, stored_from: int) -> None:
        self._index = index
        self._stored_from = stored_from
        self._known: dict[int, range] = {}

    def rows(self, event: int) -> range:
        """Where the tokens of an event that `nearest` has seen are stored; empty where they are not, or not all."""
        return self._known[event]

    def nearest(self, events: list[int], tokens: int) -> list[int]:
        """The first of them, up to the one with which their tokens come nearest to `tokens`."""
        self._look_up(events)
        chosen: list[int] = []
        total = 0
        for event in events:
            length = len(self.rows(event))
            if total + length >= tokens:
                nearer = tokens - total > total + length - tokens
                return [*chosen, event] if nearer and length else chosen
            if length:
                chosen.append(event)
                total += length
        return chosen

    def _look_up(self, events: list[int]) -> None:
        known = [event for event in events if self._index.first <= event < self._index.length]
        self._known |= dict.fromkeys(events, range(0))
        if not known:
            return
        start_1N, length_1N = self._index.gather(
            ("start", "length"), torch.tensor([known], device="cpu"), torch.tensor([0], device="cpu")
        )
        for event, start, length in zip(known, start_1N[0].tolist(), length_1N[0].tolist(), strict=True):
            self._known[event] = range(start, start + length) if start >= self._stored_from else range(0)


def _neighbours(best: list[int], queue: Tensor | None) -> list[int]:
    """Events next to the best, and those that wait in the queue, none twice and none of the best."""
    fresh = [near for event in best for near in (event + 1, event - 1)]
    waiting = [] if queue is None else queue.tolist()
    taken = set(best)
    return [event for event in dict.fromkeys([*fresh, *waiting]) if event not in taken]
