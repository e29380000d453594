"""Towards which tokens of a stream an answer is steered, and what that does in one layer.

Shapes: H query heads, T tokens of the chunk, N searches, M query rows of a search, S keys, X blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.engine.folding import Folding
from farspan.methods.parts.plan import Plan

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Highlight:
    """Tokens `[low, high)` of a stream, ascending and apart; tokens from `end` on, the answer's own, are as they were.

    `end` is None as long as the prompt of the answer has not been fed.
    """

    runs: Runs
    end: int | None = None

    def until(self, end: int) -> Highlight:
        """This with its end, unless it has one: what is fed first is the prompt."""
        return self if self.end is not None else replace(self, end=end)

    def in_layer(self, plan: Plan, facts: LayerFacts, heads: Sequence[int]) -> Focus | None:
        """What it does to these KV heads of a layer, all that `facts` counts; None where nothing is steered."""
        if plan.combine.steering is None:
            return None
        group = facts.q_heads // facts.kv_heads
        own_H = [head * group + other for head in heads for other in range(group)]
        return self.focus(plan.combine.steering.outside(facts.index, own_H))

    def focus(self, outside_H: Tensor) -> Focus | None:
        """What it does to heads to whose logits `outside_H` is added elsewhere; None where that is nothing."""
        return Focus(self, outside_H) if bool(outside_H.any()) else None


@dataclass(frozen=True, slots=True)
class Focus:
    """A highlight in one layer at one chunk: `outside_H` is added to the logits of tokens that are not highlighted."""

    highlight: Highlight
    outside_H: Tensor

    def bias(self, position_NS: Tensor, folding: Folding) -> Tensor:
        """What is added to the logits of keys at these places: `[N, M, S]`."""
        outside_H11 = self.outside_H.to(position_NS.device)[:, None, None]
        row_NM1 = folding.fold(outside_H11.expand(-1, folding.tokens, 1))
        return row_NM1 * self._outside(position_NS).unsqueeze(1)

    def blocks(self, first: int, block: int, stored: range) -> Tensor:
        """Of the blocks that are `stored`, those that hold highlighted tokens; block 0 begins at `first`: `[X]`."""
        spans = [range((low - first) // block, (high - 1 - first) // block + 1) for low, high in self.highlight.runs]
        found = {row for span in spans for row in range(max(span.start, stored.start), min(span.stop, stored.stop))}
        return torch.tensor(sorted(found), dtype=torch.int64, device="cpu")

    def _outside(self, position_NS: Tensor) -> Tensor:
        edges = torch.tensor(self.highlight.runs, device=position_NS.device).flatten()
        covered_NS = torch.searchsorted(edges, position_NS.contiguous(), right=True) % 2 == 1
        end = self.highlight.end
        return ~covered_NS if end is None else ~covered_NS & (position_NS < end)
