"""Rows of token ids with labels, and batches of them.

A label is a token id where an answer is asked, IGNORE where nothing is, and `RUNNING - id` in running text, of which
the loss takes a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

IGNORE = -100
RUNNING = -200


@dataclass(slots=True)
class Row:
    """One training text: its family, token ids, labels, and where each answer begins and ends."""

    family: str
    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)

    def add(self, ids: Sequence[int], *, running: bool = False) -> None:
        """Append tokens that nobody asks for; `running` marks prose whose tokens the loss may sample."""
        self.ids += ids
        self.labels += [RUNNING - token for token in ids] if running else [IGNORE] * len(ids)

    def answer(self, ids: Sequence[int]) -> None:
        """Append an answer: every token of it is labelled."""
        self.answers.append((len(self.ids), len(self.ids) + len(ids)))
        self.ids += ids
        self.labels += ids

    def cut(self, length: int) -> None:
        """Drop all after `length` tokens, and the answers that reach beyond."""
        self.ids, self.labels = self.ids[:length], self.labels[:length]
        for start, end in self.answers:
            if end > length:
                self.labels[start:] = [IGNORE] * len(self.labels[start:])
        self.answers = [(start, end) for start, end in self.answers if end <= length]


@dataclass(frozen=True, slots=True)
class Batch:
    """ids (B, T); labels (B, T) of the next token; owner (B, T): which answer a label belongs to, -1 for none."""

    ids: Tensor
    labels: Tensor
    owner: Tensor
    families: list[str]
    texts: list[str]


def collate(rows: Sequence[Row], length: int, pad: int) -> Batch:
    """Rows of at most `length` + 1 tokens as inputs and next-token labels."""
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), IGNORE)
    owner = torch.full((len(rows), length), -1)
    families: list[str] = []
    for i, row in enumerate(rows):
        size = min(len(row.ids) - 1, length)
        ids[i, :size] = torch.tensor(row.ids[:size])
        labels[i, :size] = torch.tensor(row.labels[1 : size + 1])
        for start, end in row.answers:
            owner[i, start - 1 : end - 1] = len(families)
            families.append(row.family)
    return Batch(ids, labels, owner, families, [row.family for row in rows])
