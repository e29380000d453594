"""The slowest frequency divided by a factor, the fastest left alone, a power between (NTK-aware scaling).

YaRN (arXiv 2309.00071) describes it in section 3.1 and its dynamic form in section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.methods.parts.frequencies.stretched import Stretched, rungs


@dataclass(frozen=True, slots=True)
class LargerBase(Stretched):
    """The base times factor^(d / (d - 2)), so that the slowest frequency is divided by `factor` exactly."""

    def change(self, rope: Rope, length: int) -> Tensor:
        """A power of the factor."""
        return slowed(rope, self.factor)


@dataclass(frozen=True, slots=True)
class GrowingBase(Stretched):
    """The same by `factor` * length / window - (`factor` - 1), which grows with the text."""

    factor: float = 1.0

    def change(self, rope: Rope, length: int) -> Tensor:
        """A power of what the factor has become."""
        assert self.trained is not None
        windows = max(length, self.trained) / self.trained
        return slowed(rope, self.factor * windows - (self.factor - 1))


def slowed(rope: Rope, factor: float) -> Tensor:
    """1 for the fastest frequency, 1 / factor for the slowest, a power between."""
    last = max(1, len(rope.inv_freq_F) - 1)
    change_F: Tensor = factor ** -(rungs(rope) / last)
    return change_F
