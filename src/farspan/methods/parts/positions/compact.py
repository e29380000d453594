"""Positions counted inside what is attended to (StreamingLLM, arXiv 2309.17453)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from farspan.methods.parts.axes import Beyond


@dataclass(frozen=True, slots=True)
class CompactPositions:
    """Far keys take the positions 0, 1, 2, ... in their order, and the near ones follow directly.

    No position exceeds the number of keys attended to, which is what a method's numbers should keep below the window.
    """

    beyond: Beyond = "near"
    keeps_distance: bool = False
    recalls_at: int | None = None
    step: int | None = 1
    alike: ClassVar[int] = 1

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def queries(self, position_T: Tensor, far: int, reach_T: Tensor) -> Tensor:
        """Queries stand behind the far keys and the near ones that they see."""
        return torch.minimum(position_T, far + reach_T - 1)

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Far keys stand at their rank."""
        return slot_S
