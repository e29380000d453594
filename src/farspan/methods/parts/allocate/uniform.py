"""Every layer gets the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Uniform:
    """All layers alike."""

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def share(self, layer: int, layers: int) -> float:
        """The average."""
        return 1.0
