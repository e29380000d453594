"""Nothing stands for a block: selectors that need no index look at its keys themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from farspan.cache.columns import Column, Rows


@dataclass(frozen=True, slots=True)
class NoIndex:
    """No index."""

    needs_mass: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def columns(self, heads: int, key_dim: int) -> tuple[Column, ...]:
        """No columns."""
        return ()

    def rows(self, k_GNBD: Tensor, mass_GNB: Tensor, length_N: Tensor) -> Rows:
        """No columns."""
        return {}
