"""What all changed frequencies share: by how much they stretch the window, and from when on they serve.

Shapes: F rotary frequencies, T queries.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, Self

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.errors import MethodError

When = Literal["beyond", "always"]
TIMES: dict[str, When] = {"beyond": "beyond", "always": "always"}


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
        exact = replace(rope, inv_freq_F=rope.inv_freq_F.double())
        inv_freq_F = exact.inv_freq_F * self.change(exact, length)
        return replace(rope, inv_freq_F=inv_freq_F.float(), attention_scaling=rope.attention_scaling * self.scaling)

    def change(self, rope: Rope, length: int) -> Tensor:
        """By what to multiply every frequency, when positions go up to `length`."""
        raise NotImplementedError

    @property
    def scaling(self) -> float:
        """By what to multiply queries and keys."""
        return 1.0

    def sharpness(self, layer: int, met_T: Tensor) -> Tensor | None:
        """Logits as they are."""
        return None


def rungs(rope: Rope) -> Tensor:
    """The numbers 0, 1, 2, ... of the frequencies."""
    inv_freq_F = rope.inv_freq_F
    return torch.arange(len(inv_freq_F), dtype=inv_freq_F.dtype, device=inv_freq_F.device)


def base_of(rope: Rope) -> float:
    """The base of whose powers the frequencies were made. Raises MethodError where it is not known."""
    if rope.base is None:
        raise MethodError(
            "the model's configuration does not say its rotary base (rope_theta)",
            fix="use a method that needs none, such as ntk or pi",
        )
    return rope.base
