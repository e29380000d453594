"""Positions counted in groups beyond the neighbours (Self-Extend, arXiv 2401.01325, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.methods.parts.axes import Beyond


@dataclass(frozen=True, slots=True)
class GroupedPositions:
    """Outside the local window, `group` neighbouring tokens share one position; queries are moved along so that far
    distances go on where the window ends.
    """

    group: int = 4
    beyond: Beyond = "far"
    keeps_distance: bool = False
    recalls_at: int | None = None
    step: int | None = None

    @property
    def alike(self) -> int:
        """Those of a group."""
        return self.group

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def queries(self, position_T: Tensor, far: int, reach_T: Tensor) -> Tensor:
        """Queries stand in their group, moved by what grouping takes from the window."""
        return position_T // self.group + reach_T - reach_T // self.group

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Keys stand in their group."""
        return position_S // self.group
