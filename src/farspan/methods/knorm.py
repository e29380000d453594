"""Knorm (Devoto et al. 2024): small keys stay."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.key_norm import KeyNorm
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Devoto et al. 2024, A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression (arXiv "
    "2406.11430)",
    overflow="forgets",
)
def knorm(*, capacity: int | None = None, recent: int = 1, positions: str = "compact") -> dict[str, Part]:
    """Keep, for every head, the tokens whose keys have the smallest norm, since these receive much attention. It looks
    at no query and needs no attention weights.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. `recent` tokens stay; the paper leaves the
    first two layers alone, which this does not. Kept tokens are counted 0, 1, 2, ... so that no position is untrained;
    `positions=true` leaves them where the paper has them, for texts that fit the model's window.
    """
    return {
        "keep": BestTokens(KeyNorm(), capacity, window=recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
