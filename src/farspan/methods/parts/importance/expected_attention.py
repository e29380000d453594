"""The attention that queries to come are expected to give (Expected Attention, arXiv 2510.00636, section 3).

Shapes: H query heads, R of them to a KV head, G KV heads, T queries, A candidates, D key width, P positions to come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.cache.columns import BlockShape, Column
from farspan.methods.parts.importance.base import Held, Importance
from farspan.methods.parts.notes import Notes
from farspan.methods.parts.window_share import window_share

MOST_AHEAD = 65_536
_PIECE_POSITIONS = 1024


@dataclass(frozen=True)
class ExpectedAttention(Importance):
    """Queries are taken for normally distributed, with the mean and the covariance of all so far, turned to the next
    `ahead` positions on average; a token is worth the attention that they would give it, times the norm of its value.

    The first `skipped` queries do not count. A choice serves `interval` tokens: None is 512, and an eighth of the
    model's window where that is less.
    """

    ahead: int = 512
    skipped: int = 4
    interval: int | None = None

    def resolve(self, window: int) -> Self:
        """Choose the interval for a model trained on `window` tokens."""
        return self if self.interval is not None else replace(self, interval=window_share(window, 8, 512))

    @property
    def every(self) -> int:  # type: ignore[override]
        """The interval."""
        assert self.interval is not None
        return self.interval

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """How many queries there were; mean and co-moments of those that count."""
        heads, width = shape.heads * shape.group, shape.key_dim
        return (
            Column("seen", 1, (), torch.int64),
            Column("mean", heads, (width,), torch.float32),
            Column("moment", heads, (width, width), torch.float32),
        )

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """Chan et al.'s update of count, mean and co-moments."""
        seen, counted = int(notes["seen"]), max(0, int(notes["seen"]) - self.skipped)
        new_HTD = q_HTD[:, max(0, self.skipped - seen) :].float()
        added = new_HTD.shape[1]
        after = {"seen": notes["seen"] + q_HTD.shape[1]}
        if added == 0:
            return after
        mean_HD = new_HTD.mean(1)
        apart_HTD = new_HTD - mean_HD.unsqueeze(1)
        step_HD = mean_HD - notes["mean"]
        weight = added / (counted + added)
        after["mean"] = notes["mean"] + weight * step_HD
        between_HDD = step_HD.unsqueeze(2) * step_HD.unsqueeze(1) * (counted * weight)
        after["moment"] = notes["moment"] + apart_HTD.transpose(1, 2) @ apart_HTD + between_HDD
        return after

    def scores(self, held: Held) -> Tensor:
        """The expected attention, the mean over the query heads of a KV head, times the norm of the value."""
        k_GAD, notes = held.rotated_keys(), held.notes
        count = max(1, int(notes["seen"]) - self.skipped)
        turn_DD = mean_rotation(held.rope, held.ahead, self.ahead, k_GAD)
        mean_HD = notes["mean"] @ turn_DD.T
        cov_HDD = turn_DD @ (notes["moment"] / count) @ turn_DD.T
        group = len(mean_HD) // len(k_GAD)
        k_HAD = k_GAD.repeat_interleave(group, 0)
        logit_HA = held.scale * (k_HAD @ mean_HD.unsqueeze(2)).squeeze(2)
        logit_HA += held.scale**2 / 2 * (k_HAD @ cov_HDD * k_HAD).sum(-1)
        share_GA = logit_HA.softmax(-1).unflatten(0, (-1, group)).mean(1)
        norm_GA: Tensor = held.tokens.v_GTE.float().norm(dim=-1)
        worth_GA: Tensor = share_GA * norm_GA
        return worth_GA


def mean_rotation(rope: Rope | None, first: int, count: int, like: Tensor) -> Tensor:
    """What turning a vector to the positions `first` to `first + count - 1` does to it on average: `[D, D]`."""
    eye_DD = torch.eye(like.shape[-1], dtype=torch.float32, device=like.device)
    if rope is None:
        return eye_DD
    at_P = torch.arange(first, first + count, device=like.device)
    sums = [[angle.sum(0) for angle in rope.table(part_P)] for part_P in at_P.split(_PIECE_POSITIONS)]
    cos, sin = (sum(parts) / count for parts in zip(*sums, strict=True))
    return rope.apply(eye_DD, (cos, sin)).T
