"""Every key at its own position in the text, as the model would have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from farspan.methods.parts.axes import Beyond


@dataclass(frozen=True, slots=True)
class TruePositions:
    """The model's own positions; exact, and untrained beyond the window."""

    beyond: Beyond = "near"
    keeps_distance: bool = True
    recalls_at: int | None = None
    step: int | None = 1
    alike: ClassVar[int] = 1

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def queries(self, position_T: Tensor, far: int, reach_T: Tensor) -> Tensor:
        """Queries stand where they stand."""
        return position_T

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Keys stand where they stand."""
        return position_S
