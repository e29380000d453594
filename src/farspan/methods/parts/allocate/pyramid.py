"""More for the lower layers than for the upper ones (PyramidKV, arXiv 2406.02069, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The last layer gets a `beta`-th of the average, the first what it lacks twice, those between follow a line."""

    beta: float = 20.0

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def share(self, layer: int, layers: int) -> float:
        """Falls from 2 - 1 / beta to 1 / beta."""
        least = 1 / self.beta
        return 1.0 if layers == 1 else 2 - least - 2 * (1 - least) * layer / (layers - 1)
