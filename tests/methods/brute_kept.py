"""A slow reference of methods that keep the tokens worth most: lists of token numbers, one head and token at a time.

Shapes: H query heads, G KV heads, T tokens of a chunk, A candidates, D key width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.methods.brute import Brute, Keys, span


@dataclass
class Kept:
    """Whenever fewer than `chunk` tokens have room, the best between `sinks` and `window` stay, and no others.

    `worth` gives the worth of every candidate of a KV head; all tokens stand at their rank among those kept.
    """

    worth: Callable[[Kept, Brute, int, list[int]], list[float]]
    capacity: int
    chunk: int
    window: int
    sinks: int = 0
    every: int = 1
    together: bool = False
    kept: list[list[int]] = field(default_factory=list)
    queries: list[Tensor] = field(default_factory=list)

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Make room, then hold the chunk's tokens."""
        self.kept = self.kept or [[] for _ in brute.k_GND]
        if len(self.kept[0]) > self.capacity - self.chunk:
            self.drop(brute)
        self.queries += list(q_HTD.unbind(1))
        for kept in self.kept:
            kept.extend(range(start, start + q_HTD.shape[1]))

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """What is kept, by rank."""
        held = [other for other in self.kept[head // brute.group] if other <= token]
        return [Keys(torch.tensor(held), span(0, len(held)), len(held) - 1, local=True)]

    def drop(self, brute: Brute) -> None:
        """Keep the best of those between the first and the last."""
        count = self.capacity - self.chunk - (self.every - 1) - self.window - self.sinks
        candidates = [kept[self.sinks : len(kept) - self.window] for kept in self.kept]
        scores = [self.worth(self, brute, group, tokens) for group, tokens in enumerate(candidates)]
        if self.together:
            scores = [[sum(column) for column in zip(*scores, strict=True)]] * len(scores)
        for group, (tokens, score) in enumerate(zip(candidates, scores, strict=True)):
            best = sorted(range(len(tokens)), key=lambda at, score=score: -score[at])[:count]
            middle = [tokens[at] for at in sorted(best)]
            kept = self.kept[group]
            self.kept[group] = kept[: self.sinks] + middle + kept[len(kept) - self.window :]

    def turned(self, brute: Brute, group: int) -> Tensor:
        """All kept keys of a KV head, each at its rank."""
        kept = self.kept[group]
        return brute.turn(brute.k_GND[group, kept], span(0, len(kept)))


def heavy(rule: Kept, brute: Brute, group: int, tokens: list[int]) -> list[float]:
    """H2O: attention received from all queries so far."""
    return brute.mass_GN[group, tokens].tolist()


def observed(count: int, kernel: int) -> Callable[[Kept, Brute, int, list[int]], list[float]]:
    """SnapKV: attention of the last queries, each over what it may see of what is kept; pooled over neighbours."""

    def worth(rule: Kept, brute: Brute, group: int, tokens: list[int]) -> list[float]:
        kept, key_AD = rule.kept[group], rule.turned(brute, group)
        mass = dict.fromkeys(kept, 0.0)
        for token in range(len(rule.queries) - count, len(rule.queries)):
            seen = sum(other <= token for other in kept)
            for head in range(group * brute.group, (group + 1) * brute.group):
                q_D = brute.turn(rule.queries[token][head][None], torch.tensor([seen - 1]))[0]
                weight = brute.weights(head, key_AD[:seen] @ q_D * len(q_D) ** -0.5).tolist()
                for other, share in zip(kept, weight, strict=False):
                    mass[other] += share
        side = kernel // 2
        padded = [0.0] * side + [mass[token] for token in tokens] + [0.0] * side
        return [sum(padded[at : at + kernel]) / kernel for at in range(len(tokens))]

    return worth


def small(rule: Kept, brute: Brute, group: int, tokens: list[int]) -> list[float]:
    """Knorm: small keys."""
    return [-math.sqrt(sum(x * x for x in brute.k_GND[group, token].tolist())) for token in tokens]


def different(rule: Kept, brute: Brute, group: int, tokens: list[int]) -> list[float]:
    """KeyDiff: minus the cosine with the mean direction of everything that is kept."""
    key_AD = rule.turned(brute, group)
    unit_AD = key_AD / key_AD.norm(dim=1, keepdim=True)
    anchor_D = unit_AD.mean(0)
    cosine_A = unit_AD @ (anchor_D / anchor_D.norm())
    return (-cosine_A[rule.sinks : rule.sinks + len(tokens)]).tolist()


def expected(future: int) -> Callable[[Kept, Brute, int, list[int]], list[float]]:
    """Expected Attention: a normal distribution of queries, turned to the next positions one by one, on average."""

    def worth(rule: Kept, brute: Brute, group: int, tokens: list[int]) -> list[float]:
        begin, first = rule.sinks, len(rule.kept[group])
        key_AD = rule.turned(brute, group)[begin : begin + len(tokens)]
        width = key_AD.shape[1]
        turn_DD = sum(
            brute.turn(torch.eye(width), torch.full((width,), first + step)).T for step in range(future)
        ) / torch.tensor(future)
        share_A = torch.zeros(len(tokens))
        for head in range(group * brute.group, (group + 1) * brute.group):
            q_TD = torch.stack([q_HD[head] for q_HD in rule.queries[rule.sinks :]])
            mean_D, cov_DD = turn_DD @ q_TD.mean(0), turn_DD @ q_TD.T.cov(correction=0) @ turn_DD.T
            logits = [key @ mean_D / width**0.5 + key @ cov_DD @ key / (2 * width) for key in key_AD]
            share_A += torch.stack(logits).softmax(0) / brute.group
        return (share_A * brute.v_GND[group, tokens].norm(dim=1)).tolist()

    return worth
