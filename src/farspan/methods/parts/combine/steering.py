"""Attention that is steered towards a highlighted part of the text (PASTA, arXiv 2311.02262, section 3.1).

Shapes: H query heads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.errors import MethodError

_ALL = "all"
_HEADS = re.compile(r"\d+:\d+(,\d+)*(;\d+:\d+(,\d+)*)*")


@dataclass(frozen=True, slots=True)
class HeadSet:
    """Query heads by layer, each pair `(layer, heads)`; None for `layers` is every head of every layer."""

    layers: tuple[tuple[int, tuple[int, ...]], ...] | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `"all"`, or `"3:17,7;8:28"`: heads 17 and 7 of layer 3 and head 28 of layer 8, counted from 0.

        Raises MethodError for anything else.
        """
        text = "".join(text.split())
        if text == _ALL:
            return cls()
        if not _HEADS.fullmatch(text):
            raise MethodError(f"{text!r} names no heads", fix='write "all", or layers with their heads: "3:17,7;8:28"')
        pairs = (part.split(":") for part in text.split(";"))
        return cls(tuple((int(layer), tuple(int(head) for head in heads.split(","))) for layer, heads in pairs))

    def check(self, heads: Sequence[int]) -> None:
        """Raise MethodError for a layer or head that a model with so many heads in each layer does not have."""
        for layer, listed in self.layers or ():
            if layer >= len(heads):
                raise MethodError(f"the model has no layer {layer}", fix=f"its layers are 0 to {len(heads) - 1}")
            if max(listed) >= heads[layer]:
                raise MethodError(
                    f"layer {layer} has no head {max(listed)}", fix=f"its heads are 0 to {heads[layer] - 1}"
                )

    def mask(self, layer: int, heads: Sequence[int]) -> Tensor:
        """Which of these heads of a layer are in it: `[H]`."""
        listed = {(at, head) for at, own in self.layers or () for head in own}
        return torch.tensor([self.layers is None or (layer, head) in listed for head in heads], device="cpu")


@dataclass(frozen=True, slots=True)
class Steering:
    """In the steered heads, what is outside the highlighted text counts `alpha` times.

    With `asks`, the model is first asked which sentence of the text answers the question, and that is highlighted.
    """

    alpha: float = 0.01
    heads: HeadSet = HeadSet()
    asks: bool = False

    def outside(self, layer: int, heads: Sequence[int]) -> Tensor:
        """What is added to the logits of tokens that are not highlighted, for these heads of a layer: `[H]`."""
        return math.log(self.alpha) * self.heads.mask(layer, heads)


def steering(alpha: float, heads: str, *, asks: bool = False) -> Steering:
    """What the keywords of the methods that steer say. Raises MethodError for heads that are none."""
    return Steering(float(alpha), HeadSet.parse(heads), asks)
