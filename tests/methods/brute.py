"""Slow references of the methods, one query head and token at a time, for the adapter's handler interface.

They keep every un-rotated key and value and know nothing of blocks in tiers, windows in buffers or merged segments:
each says which keys a query meets and at which angles, and `Brute` takes one softmax over them.

Shapes: H query heads, G KV heads, T tokens of a chunk, N tokens so far, S keys, D key width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, HostedModel
from tests.tiny import stream


class Keys(NamedTuple):
    """Tokens that a query meets: their numbers, their angles, the angle of the query, and whether they are local."""

    token_S: Tensor
    at_S: Tensor
    query_at: int
    local: bool = False


class Rule(Protocol):
    """Which keys a query meets. Made anew for every layer."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """A chunk begins, whose first token is number `start`; its keys are there already."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """What query head `head` of token number `token` meets."""


class Brute:
    """All keys and values of one layer, answered by a rule; `sought_GND` are the keys turned to position 0."""

    def __init__(self, hosted: HostedModel, index: int, rule: Rule) -> None:
        self.rule = rule
        self.rope = hosted.rope(index, 1)
        self.group = hosted.facts[index].q_heads // hosted.facts[index].kv_heads
        self.k_GND = self.v_GND = self.sought_GND = torch.empty(0)
        self.mass_GN = torch.zeros(hosted.facts[index].kv_heads, 4096)
        self.sinks_H: Tensor | None = None

    def turn(self, x_SD: Tensor, at_S: Tensor) -> Tensor:
        """Rotate to these positions."""
        assert self.rope is not None
        return self.rope.rotate(x_SD, at_S)

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """One softmax for every head and token."""
        start = self.k_GND.shape[1] if self.k_GND.numel() else 0
        self.k_GND = torch.cat((self.k_GND, k_GTD), 1) if start else k_GTD
        self.v_GND = torch.cat((self.v_GND, v_GTD), 1) if start else v_GTD
        self.sought_GND = self.turn(self.k_GND, torch.zeros(1))
        self.rule.begin(self, q_HTD, start)
        self.sinks_H = call.sinks_H
        out_HTD = torch.empty_like(q_HTD)
        for t in range(q_HTD.shape[1]):
            for head in range(q_HTD.shape[0]):
                out_HTD[head, t] = self._answer(head, start + t, q_HTD[head, t], call.scaling)
        return out_HTD

    def _answer(self, head: int, token: int, q_D: Tensor, scaling: float) -> Tensor:
        group = head // self.group
        met = self.rule.meets(self, head, token, q_D)
        logits_S = torch.cat(
            [
                self.turn(self.k_GND[group, keys.token_S], keys.at_S)
                @ self.turn(q_D[None], torch.tensor([keys.query_at]))[0]
                for keys in met
            ]
        )
        token_S = torch.cat([keys.token_S for keys in met])
        assert token_S.unique().numel() == token_S.numel(), "a token is met twice"
        weight_S = self.weights(head, logits_S * scaling)
        local_S = torch.cat([torch.full((len(keys.token_S),), keys.local) for keys in met])
        self.mass_GN[group, token_S[local_S]] += weight_S[local_S]
        return weight_S @ self.v_GND[group, token_S]

    def weights(self, head: int, logits_S: Tensor) -> Tensor:
        """Their softmax, beside the logit without a value where the head has one."""
        if self.sinks_H is None:
            return logits_S.softmax(0)
        return torch.cat((logits_S, self.sinks_H[head : head + 1])).softmax(0)[:-1]


def brutes(hosted: HostedModel, rules: Sequence[Rule]) -> list[Brute]:
    """Every layer, answered by its rule."""
    return [Brute(hosted, fact.index, rule) for fact, rule in zip(hosted.facts, rules, strict=True)]


def reference(hosted: HostedModel, make: Callable[[], Rule], ids: list[int], chunk: int) -> Tensor:
    """The logits of every token, when every layer is answered by a rule of this kind."""
    return stream(hosted, brutes(hosted, [make() for _ in hosted.facts]), ids, chunk)


def span(start: int, end: int) -> Tensor:
    """Token numbers `[start, end)`."""
    return torch.arange(max(start, 0), max(end, 0, start))


def true(token_S: Tensor, query: int) -> Keys:
    """Keys at their true distances."""
    return Keys(token_S, token_S, query, local=True)


class Streaming:
    """StreamingLLM's cache as its paper has it: one token comes, one is evicted, positions count inside the cache."""

    def __init__(self, sinks: int, window: int) -> None:
        self.sinks, self.size = sinks, sinks + window
        self.cache: list[int] = []

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """The cache, in its own positions."""
        if not self.cache or self.cache[-1] != token:
            if len(self.cache) == self.size:
                del self.cache[self.sinks]
            self.cache.append(token)
        return [Keys(torch.tensor(self.cache), span(0, len(self.cache)), len(self.cache) - 1)]


@dataclass
class LMInfinite:
    """The first tokens and the last, no distance beyond the window's; everything as it is while it fits."""

    first: int
    window: int

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """A lambda-shaped mask."""
        if token < self.first + self.window:
            return [true(span(0, token + 1), token)]
        far = span(0, self.first)
        return [true(span(token - self.window + 1, token + 1), token), Keys(far, torch.zeros_like(far), self.window)]


@dataclass
class Blocks:
    """What the two methods that fetch blocks share: sinks, blocks, remainder, window.

    `capped`: far keys all at distance `window`. Otherwise they take the places 0, 1, 2, ... and the recent tokens
    follow directly.
    """

    dense: int
    sinks: int
    window: int
    block: int
    top_k: int
    capped: bool = True

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Blocks are made of what had left the window when the chunk began."""
        self.all_true = start + q_HTD.shape[1] <= self.dense
        self.count = max(0, (start - self.window - self.sinks) // self.block)

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """Sinks, chosen blocks, remainder and window. Only what the window gives counts as attention received."""
        before, local = span(0, token - self.window + 1), span(token - self.window + 1, token + 1)
        if self.all_true:
            return [true(local, token), Keys(before, before, token)]
        chosen = sorted(self.choose(brute, head, token, q_D)) if self.count else []
        blocks = [span(self.begins(number), self.begins(number + 1)) for number in chosen]
        base = self.begins(self.count)
        if self.capped:
            begins = max(base, token - self.window + 1)
            far = torch.cat([span(0, self.sinks), *blocks, span(base, begins)])
            return [true(span(begins, token + 1), token), Keys(far, torch.zeros_like(far), self.window)]
        far = torch.cat([span(0, self.sinks), *blocks])
        recent = span(base, token + 1)
        parts = [true(recent[-self.window :], token), Keys(recent[: -self.window], recent[: -self.window], token)]
        return [*parts, Keys(far, span(0, len(far)), len(far) + len(recent) - 1)]

    def begins(self, number: int) -> int:
        """The first token of a block."""
        return self.sinks + number * self.block

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """The blocks that a query fetches."""
        raise NotImplementedError


class BestKeys(Blocks):
    """The blocks with the largest single key for this head and token."""

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """By a scan over all stored keys."""
        turned = brute.turn(q_D[None], torch.tensor([self.window]))[0]
        k_ND = brute.sought_GND[head // brute.group]
        score = {
            number: (k_ND[self.begins(number) : self.begins(number + 1)] @ turned).max() for number in range(self.count)
        }
        return sorted(score, key=lambda number: -float(score[number]))[: self.top_k]


@dataclass
class InfLLM(Blocks):
    """Blocks by their four most attended keys, chosen for the whole chunk, for the layer or for each head."""

    representatives: int = 4
    own: bool = False

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """One lookup for the chunk."""
        super().begin(brute, q_HTD, start)
        if self.all_true or not self.count:
            return
        heads, tokens, _ = q_HTD.shape
        mean_HD = torch.stack([brute.turn(q_HTD[h], torch.full((tokens,), self.window)).mean(0) for h in range(heads)])
        stands_nGD = [self.representative(brute, number) for number in range(self.count)]
        by_head = [[float(mean_HD[h] @ stands_GD[h // brute.group]) for stands_GD in stands_nGD] for h in range(heads)]
        shared = [sum(scores) for scores in zip(*by_head, strict=True)]
        self.chosen = [self.best(scores if self.own else shared) for scores in by_head]

    def best(self, scores: list[float]) -> list[int]:
        """The numbers of the best scores."""
        return sorted(range(len(scores)), key=lambda number: -scores[number])[: self.top_k]

    def representative(self, brute: Brute, number: int) -> Tensor:
        """Mean key of the tokens that got most attention while they were in the local window: `[G, D]`."""
        rows = []
        for group, mass_N in enumerate(brute.mass_GN):
            tokens = range(self.begins(number), self.begins(number + 1))
            best = sorted(tokens, key=lambda token: -float(mass_N[token]))[: self.representatives]
            rows.append(brute.sought_GND[group, best].mean(0))
        return torch.stack(rows)

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """What the chunk looked up, the same for all heads unless each has its own."""
        return self.chosen[head]


class RetroLM(InfLLM):
    """Blocks by the key of their last token."""

    def representative(self, brute: Brute, number: int) -> Tensor:
        """That key: `[G, D]`."""
        return brute.sought_GND[:, self.begins(number + 1) - 1]
