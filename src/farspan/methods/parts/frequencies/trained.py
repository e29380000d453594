"""The angles that the model was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.attention.rope import Rope


@dataclass(frozen=True, slots=True)
class TrainedFrequencies:
    """Everything as the model has it."""

    begins: int | None = None

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def window(self, window: int) -> int:
        """No further than was trained."""
        return window

    def rope(self, rope: Rope, length: int) -> Rope:
        """The model's own."""
        return rope

    def sharpness(self, layer: int, met_T: Tensor) -> Tensor | None:
        """Logits as they are."""
        return None
