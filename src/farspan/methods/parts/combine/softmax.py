"""Softmax attention to every key that is met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.attention.softmax import Partial
from farspan.methods.parts.combine.axis import Met
from farspan.methods.parts.combine.steering import Steering


@dataclass(frozen=True, slots=True)
class Softmax:
    """Attention as the model has it, steered where a text is highlighted."""

    steering: Steering | None = None
    exact: bool = True

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def plain(self, answering: bool) -> bool:
        """Always."""
        return True

    def attend(self, met: Met) -> tuple[Partial, Tensor | None]:
        """One softmax."""
        return met.attend()
