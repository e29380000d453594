"""Slow frequencies interpolated, fast ones left alone (YaRN, arXiv 2309.00071, sections 3.2 and 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.errors import MethodError
from farspan.methods.parts.frequencies.stretched import Stretched, rungs


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
        assert self.trained is not None
        turns_F = rope.inv_freq_F.double() * self.trained / (2 * math.pi)
        low = max(0, math.floor(rung(turns_F, self.fast)))
        high = min(rope.width - 1, math.ceil(rung(turns_F, self.slow)))
        ramp_F = ((rungs(rope) - low) / max(high - low, 0.001)).clamp(0, 1)
        return ramp_F / self.factor + 1 - ramp_F

    @property
    def scaling(self) -> float:
        """What makes up for attention that is spread over more tokens."""
        return 0.1 * math.log(self.factor) + 1


def rung(turns_F: Tensor, turns: float) -> float:
    """The number, between two or beyond all, of the frequency that would turn so many times, given how often each does.

    Logarithms lie on a line between neighbours, so that of powers of a base it is the authors' formula.
    """
    above_F = (turns_F / turns).log()
    after = int((above_F > 0).long().cumprod(0).sum())
    after = min(max(after, 1), len(above_F) - 1)
    step = float(above_F[after - 1] - above_F[after]) if after else 0.0
    return after - 1 + float(above_F[after - 1]) / (step or 1.0)
