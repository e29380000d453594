"""Positions counted inside what is attended to, so that none exceeds it (StreamingLLM, arXiv 2309.17453)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.methods.parts.axes import Beyond


@dataclass(frozen=True, slots=True)
class CompactPositions:
    """Far keys take the positions 0, 1, 2, ... in their order, and the local window follows directly."""

    beyond: Beyond = "near"

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def queries(self, position_T: Tensor, far: int, reach: int) -> Tensor:
        """Queries stand at the end of the far keys and the window."""
        return position_T.clamp(max=far + reach - 1)

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Far keys stand at their rank."""
        return slot_S
