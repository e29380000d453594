"""Slow frequencies interpolated, fast ones left alone (YaRN, arXiv 2309.00071, sections 3.2 and 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.errors import MethodError
from farspan.methods.parts.frequencies.stretched import Stretched, base_of, rungs


@dataclass(frozen=True, slots=True)
class ByParts(Stretched):
    """Frequencies that turn more than `fast` times in the trained window stay, those below `slow` are divided.

    Between lies a ramp, linear in the number of the frequency as in the authors' code (the paper's text has it linear
    in the number of turns). Queries and keys are multiplied by 0.1 ln(factor) + 1.
    """

    fast: float = 32.0
    slow: float = 1.0

    def __post_init__(self) -> None:
        if not self.slow < self.fast:
            raise MethodError(
                f"beta_slow={self.slow:g} is not below beta_fast={self.fast:g}", fix="give beta_slow the smaller number"
            )

    def change(self, rope: Rope, length: int) -> Tensor:
        """1, a factor-th, or between."""
        low = max(0, math.floor(self._rung(rope, self.fast)))
        high = min(rope.width - 1, math.ceil(self._rung(rope, self.slow)))
        ramp_F = ((rungs(rope) - low) / ((high - low) or 0.001)).clamp(0, 1)
        return ramp_F / self.factor + 1 - ramp_F

    @property
    def scaling(self) -> float:
        """What makes up for attention that is spread over more tokens."""
        return 0.1 * math.log(self.factor) + 1

    def _rung(self, rope: Rope, turns: float) -> float:
        """The number of the frequency that, unscaled, turns so many times in the trained window."""
        assert self.trained is not None
        wavelength = self.trained / (turns * 2 * math.pi)
        return len(rope.inv_freq_F) * math.log(wavelength) / math.log(base_of(rope))
