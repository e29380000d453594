"""How much a token surprised the model (SirLLM, arXiv 2405.12528, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from farspan.methods.parts.importance.base import Held, Importance


@dataclass(frozen=True)
class Surprising(Importance):
    """Minus the logarithm of the token's probability, times `decay` at every turn; one choice for all heads."""

    decay: float = 1.0
    surprise: bool = True

    def scores(self, held: Held) -> Tensor:
        """The surprise, which is the same for every head."""
        return held.tokens.mass_GT[:1]
