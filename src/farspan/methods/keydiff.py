"""KeyDiff (Park et al. 2025): keys that differ stay."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.key_difference import KeyDifference
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Park et al. 2025, KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference "
    "(arXiv 2504.15364)",
    overflow="forgets",
)
def keydiff(*, capacity: int | None = None, recent: int = 1, positions: str = "compact") -> dict[str, Part]:
    """Keep, for every head, the tokens whose keys point least to where the keys point on average: those that differ.
    It looks at no query and needs no attention weights.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. `recent` tokens stay. Kept tokens are
    counted 0, 1, 2, ... so that no position is untrained; `positions=true` leaves them where the paper has them, for
    texts that fit the model's window.
    """
    return {
        "keep": BestTokens(KeyDifference(), capacity, window=recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
