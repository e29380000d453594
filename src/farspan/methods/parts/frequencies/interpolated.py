"""All frequencies divided alike (Position Interpolation, arXiv 2306.15595, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.methods.parts.frequencies.stretched import Stretched


@dataclass(frozen=True, slots=True)
class Interpolated(Stretched):
    """Every position counts as a `factor`-th of itself."""

    def change(self, rope: Rope, length: int) -> Tensor:
        """One and the same."""
        return torch.full_like(rope.inv_freq_F, 1 / self.factor)
