"""What all changed frequencies share: by how much they stretch the window, and from when on they serve.

Shapes: F rotary frequencies, T queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor

from farspan.attention.rope import Rope

When = Literal["beyond", "always"]
TIMES: dict[str, When] = {"beyond": "beyond", "always": "always"}
_USUAL_BASE = 10000.0


@dataclass(frozen=True, slots=True)
class Stretched:
    """Positions may go `factor` windows far.

    Keys are stored un-rotated, so angles may change at any time: `when` it is "beyond", a text that fits the trained
    window is read with the trained angles, exactly, and only then all of it is turned anew; "always" is the papers'
    static form, the changed angles from the first token.
    """

    factor: float = 4.0
    when: When = "beyond"
    trained: int | None = field(default=None, kw_only=True, repr=False)

    @property
    def begins(self) -> int | None:
        """At once, or beyond the trained window."""
        return 0 if self.when == "always" else self.trained

    def resolve(self, window: int) -> Self:
        """Note the trained window."""
        return replace(self, trained=window)

    def window(self, window: int) -> int:
        """So many windows."""
        return int(window * self.factor)

    def rope(self, rope: Rope, length: int) -> Rope:
        """Multiply the frequencies that are there."""
        inv_freq_F = rope.inv_freq_F.double() * self.change(rope.inv_freq_F.double(), length)
        return replace(rope, inv_freq_F=inv_freq_F.float(), attention_scaling=rope.attention_scaling * self.scaling)

    def change(self, inv_freq_F: Tensor, length: int) -> Tensor:
        """By what to multiply every frequency, when positions go up to `length`."""
        raise NotImplementedError

    @property
    def scaling(self) -> float:
        """By what to multiply queries and keys."""
        return 1.0

    def sharpness(self, layer: int, met_T: Tensor) -> Tensor | None:
        """Logits as they are."""
        return None


def rungs(inv_freq_F: Tensor) -> Tensor:
    """The numbers 0, 1, 2, ... of the frequencies."""
    return torch.arange(len(inv_freq_F), dtype=inv_freq_F.dtype, device=inv_freq_F.device)


def base_of(inv_freq_F: Tensor) -> float:
    """The base of whose powers the frequencies are made, by the first two, which stretching leaves nearly alone."""
    if len(inv_freq_F) < 2:
        return _USUAL_BASE
    return float(inv_freq_F[0] / inv_freq_F[1]) ** len(inv_freq_F)
