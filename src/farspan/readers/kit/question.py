"""A question, and what a model makes of pieces of text with the question behind them.

Shapes: C tokens of a piece, Q tokens of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from farspan.engine import Model
from farspan.engine.scores import Floats, attention_rows, entropy, last_products


class Attended(NamedTuple):
    """What a question's tokens attend to in one layer, summed over its heads: the piece, and the question."""

    piece_QC: Floats
    question_QQ: Floats


@dataclass(slots=True)
class Question:
    """Token ids of a question, and of what stands between it and the answer (`closing`).

    `room` is how many tokens of text fit before it with the answer; `looked` counts the tokens that were looked at.
    """

    model: Model
    ids: list[int]
    closing: list[int]
    room: int = 0
    looked: int = 0

    @property
    def overhead(self) -> int:
        """Tokens around the text."""
        return len(self._prompt([]))

    def attention(self, ids: Sequence[int], layer: int) -> Attended:
        """What the question's tokens attend to behind a piece."""
        head, gap = self.model.template.head, self.model.template.gap
        before = [*head, *ids, *gap]
        rows = attention_rows(self.model, self._looking([*before, *self.ids]), len(before), layer)
        return Attended(rows[:, len(head) : len(head) + len(ids)], rows[:, len(before) :])

    def products(self, ids: Sequence[int], layer: int) -> Floats:
        """How well each token of a piece matches the last token behind it in a layer."""
        head = len(self.model.template.head)
        return last_products(self.model, self._looking(self._prompt(ids)), layer)[head : head + len(ids)]

    def entropy(self, ids: Sequence[int]) -> float:
        """How uncertain the model is of the answer's first token behind a piece."""
        return entropy(self.model, self._looking(self._prompt(ids)))

    def _prompt(self, ids: Sequence[int]) -> list[int]:
        template = self.model.template
        return [*template.head, *ids, *template.gap, *self.ids, *self.closing]

    def _looking(self, ids: list[int]) -> list[int]:
        self.looked += len(ids)
        return ids


def best(scores: Floats, count: int) -> list[int]:
    """Where the best `count` scores are, in ascending order of their places; of equal ones the first."""
    order = np.argsort(-scores, kind="stable")[:count]
    return sorted(int(at) for at in order)
