"""The attention of the last queries (SnapKV, arXiv 2404.14469, section 4; TOVA, arXiv 2401.06104, section 4).

Shapes: H query heads, G KV heads, T queries, A candidates, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.cache.columns import BlockShape, Column
from farspan.methods.parts.importance.base import Held, Importance
from farspan.methods.parts.notes import Notes, last_queries, newest
from farspan.methods.parts.window_share import window_share

_QUERIES = "queries"


@dataclass(frozen=True)
class ObservedAttention(Importance):
    """What the last `count` queries attend to, smoothed over `kernel` neighbours; `together`, one choice for all heads.

    The queries attend to everything that is kept, each from its own place, at the moment of choice; their own tokens
    stay. A count of None is 32, and a 32nd of the model's window where that is less.
    """

    count: int | None = None
    kernel: int = 5
    together: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the count for a model trained on `window` tokens."""
        return self if self.count is not None else replace(self, count=window_share(window, 32, 32))

    @property
    def recent(self) -> int:  # type: ignore[override]
        """The tokens of these queries."""
        return self.every

    @property
    def every(self) -> int:  # type: ignore[override]
        """So many queries answer for one choice, and so many tokens come before the next."""
        assert self.count is not None
        return self.count

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """The last queries of every query head; zeros where there are not so many yet."""
        return (last_queries(_QUERIES, self.every, shape),)

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """The newest take the place of the oldest."""
        return {_QUERIES: newest(notes[_QUERIES], q_HTD)}

    def queries(self, notes: Notes) -> Tensor | None:
        """The last queries."""
        return notes[_QUERIES]

    def scores(self, held: Held) -> Tensor:
        """The mass, averaged over neighbours as far as there are any."""
        mass_GA = held.tokens.mass_GT
        mass_GA = mass_GA.sum(0, keepdim=True) if self.together else mass_GA
        side = min(self.kernel // 2, mass_GA.shape[1])
        return torch.nn.functional.avg_pool1d(mass_GA, 2 * side + 1, stride=1, padding=side) if side else mass_GA
