"""Powers of a larger base (ABF, arXiv 2309.16039, section 2.1), and sharper logits (Entropy-ABF, arXiv 2401.07004).

Shapes: T queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from farspan.attention.rope import Rope
from farspan.errors import MethodError
from farspan.methods.parts.frequencies.stretched import Stretched, base_of, rungs

_FIRST_SHARPENED = 2
_ALIKE = 1.001
_PAPER_TIMES = 50


@dataclass(frozen=True, slots=True)
class AdjustedBase(Stretched):
    """Frequencies are powers of `base` instead of the model's own; where they are scaled beside that, they stay so.

    `factor` says how many windows that is to serve.
    """

    base: float = 500000.0

    def change(self, rope: Rope, length: int) -> Tensor:
        """A power of the ratio of the bases. Raises MethodError where the model's own is as large."""
        own = base_of(rope)
        if self.base <= own * _ALIKE:
            raise MethodError(
                f"base={self.base:,.0f} is no larger than the model's own, which is {own:,.0f}",
                fix=f"give a larger one, such as base={float(f'{_PAPER_TIMES * own:.2g}'):.0f}",
            )
        change_F: Tensor = (self.base / own) ** -(rungs(rope) / len(rope.inv_freq_F))
        return change_F


@dataclass(frozen=True, slots=True)
class SharpenedBase(AdjustedBase):
    """Beside that, a query that meets n tokens has its logits multiplied by ln n / ln window where that is more than 1.

    Attention over more tokens is flatter, and this keeps its entropy. The first two layers attend evenly anyway and
    stay as they are.
    """

    def sharpness(self, layer: int, met_T: Tensor) -> Tensor | None:
        """The ratio of logarithms."""
        assert self.trained is not None
        if layer < _FIRST_SHARPENED:
            return None
        return (met_T.float().log() / math.log(max(2, self.trained))).clamp(min=1)
