"""Other shapes of the frequencies (Giraffe, arXiv 2308.10882, section 3): a power basis and a truncated one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.methods.parts.frequencies.stretched import Stretched, rungs

_BAND = 8
_SLOWEST = 16


@dataclass(frozen=True, slots=True)
class PowerBasis(Stretched):
    """Frequency i of F is multiplied by (1 - i / F)^power: the slower it is, the more it is slowed."""

    power: float = 0.5

    def change(self, rope: Rope, length: int) -> Tensor:
        """A power of what is left of the ladder."""
        return (1 - rungs(rope) / len(rope.inv_freq_F)) ** float(self.power)


@dataclass(frozen=True, slots=True)
class TruncatedBasis(Stretched):
    """Frequencies that turn at least once in `span` tokens stay; those a little slower, down to an 8th of that, turn
    once in 16 spans; the slowest do not turn at all.

    A span of None is the trained window.
    """

    span: int | None = None

    def change(self, rope: Rope, length: int) -> Tensor:
        """1, what makes it the one slow frequency, or 0."""
        inv_freq_F, span = rope.inv_freq_F, self.trained if self.span is None else self.span
        assert span is not None
        cutoff = 2 * math.pi / span
        slow_F = cutoff / _SLOWEST / inv_freq_F
        change_F = torch.where(inv_freq_F >= cutoff, torch.ones_like(inv_freq_F), slow_F)
        return torch.where(inv_freq_F < cutoff / _BAND, torch.zeros_like(inv_freq_F), change_F)
