"""The attention that a token received from all queries since it came (H2O, arXiv 2306.14048, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from farspan.methods.parts.importance.base import Held, Importance


@dataclass(frozen=True)
class ReceivedAttention(Importance):
    """A token that was looked at much will be looked at again: the heavy hitters."""

    mass: bool = True

    def scores(self, held: Held) -> Tensor:
        """The mass, summed over the query heads of a KV head."""
        return held.tokens.mass_GT
