"""Keys with a small norm receive much attention (Devoto et al. 2024, arXiv 2406.11430, section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from farspan.methods.parts.importance.base import Held, Importance


@dataclass(frozen=True)
class KeyNorm(Importance):
    """The smaller a key, the more it is worth."""

    def scores(self, held: Held) -> Tensor:
        """The negative L2 norm of each key."""
        norm_GA: Tensor = held.tokens.k_GTD.float().norm(dim=-1)
        return -norm_GA
