"""The tokens of one layer that its method found worth keeping, between the first and the recent ones.

Shapes: H query heads, G KV heads, T queries, C tokens of the pool, A candidates (the pool's and those that come to it),
K chosen ones, D key width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.attention.rope import Rope
from farspan.cache.recent import Tokens
from farspan.methods.parts.importance.base import Held, Importance
from farspan.methods.parts.notes import Notes
from farspan.methods.parts.plan import Plan


class Pooled(NamedTuple):
    """Tokens in the order of the text, a choice for every head, and their places in the text `[G, C]`."""

    tokens: Tokens
    position_GC: Tensor


class Aging(NamedTuple):
    """The recent tokens of which the first `sinks` become sinks and `leaving` more come to the pool.

    The pool's first token is number `first` of all that is attended to; `seen` counts all tokens of the stream.
    """

    recent: Tokens
    sinks: int
    leaving: int
    first: int
    seen: int


class PoolMemory:
    """The pool of one layer. A choice replaces all tensors."""

    def __init__(self, facts: LayerFacts, by: Importance, like: Tensor) -> None:
        self._by = by
        heads = facts.kv_heads
        empty = Tokens(
            like.new_empty((heads, 0, facts.key_dim)),
            like.new_empty((heads, 0, facts.value_dim)),
            like.new_empty((heads, 0), dtype=torch.float32),
            like.new_empty((0, 0, facts.key_dim)),
        )
        self.held = Pooled(empty, like.new_empty((heads, 0), dtype=torch.int64))

    def __len__(self) -> int:
        return self.held.tokens.length

    def age(self, plan: Plan, aging: Aging, notes: Notes, rope: Rope | None, scale: float) -> int:
        """Take in tokens that leave the window, hold those that are worth most, and return how many go."""
        assert plan.pool is not None
        tokens, position_GA = self._candidates(aging)
        going = max(0, tokens.length - plan.pool.best)
        if going:
            newer = aging.recent.part(aging.sinks + aging.leaving, aging.recent.length)
            slot_A = torch.arange(aging.first, aging.first + tokens.length, device=position_GA.device)
            seen_1, reach_1 = slot_A.new_tensor([aging.seen]), slot_A.new_tensor([newer.length + 1])
            ahead_1 = plan.positions.queries(seen_1, aging.first + tokens.length, reach_1)
            at_GA = plan.positions.keys(slot_A, position_GA).expand_as(position_GA)
            score_GA = self._by.scores(Held(tokens, newer, at_GA, int(ahead_1), rope, scale, notes))
            kept_GK = score_GA.topk(plan.pool.best, dim=1).indices.sort(dim=1).values.expand(len(position_GA), -1)
            tokens = Tokens(*(_taken(value, kept_GK) for value in tokens))
            position_GA = position_GA.gather(1, kept_GK)
        self.held = Pooled(tokens, position_GA)
        return going

    def _candidates(self, aging: Aging) -> Pooled:
        """The pool and the tokens that come to it."""
        aged = aging.recent.part(aging.sinks, aging.sinks + aging.leaving)
        tokens = Tokens(*(torch.cat((ours, theirs), 1) for ours, theirs in zip(self.held.tokens, aged, strict=True)))
        start = aging.seen - aging.recent.length + aging.sinks
        at_A = torch.arange(start, start + aged.length, device=tokens.k_GTD.device)
        return Pooled(tokens, torch.cat((self.held.position_GC, at_A.expand(len(tokens.k_GTD), -1)), 1))

    def decay(self) -> None:
        """A turn has ended."""
        tokens = self.held.tokens
        self.held = self.held._replace(tokens=tokens._replace(mass_GT=tokens.mass_GT * self._by.decay))

    def nbytes(self) -> int:
        """Bytes of keys and values."""
        return self.held.tokens.nbytes

    def state_dict(self) -> dict[str, Tensor]:
        """All there is."""
        return {**self.held.tokens._asdict(), "position_GC": self.held.position_GC}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what `state_dict` gave."""
        device = self.held.position_GC.device
        here = {name: value.to(device) for name, value in state.items()}
        tokens = Tokens(*(here[field] for field in Tokens._fields))
        self.held = Pooled(tokens._replace(mass_GT=tokens.mass_GT.clone()), here["position_GC"])


def _taken(value: Tensor, kept_GK: Tensor) -> Tensor:
    """Rows `kept_GK` of `[G, A, ...]`; nothing of what has no heads."""
    kept_GK = kept_GK[: len(value)]
    index = kept_GK.view(*kept_GK.shape, *(1 for _ in value.shape[2:])).expand(-1, -1, *value.shape[2:])
    return value.gather(1, index)
