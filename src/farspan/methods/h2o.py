"""H2O (Zhang et al. 2023): recent tokens and heavy hitters."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.received import ReceivedAttention
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Zhang et al. 2023, H2O: Heavy-Hitter Oracle for Efficient Generative Inference of LLMs (arXiv 2306.14048)",
    overflow="forgets",
    needs=("attention weights while reading and answering",),
)
def h2o(*, capacity: int | None = None, recent: int | None = None, positions: str = "compact") -> dict[str, Part]:
    """Keep the recent tokens and, for every head, those that received most attention from all queries since they came:
    the heavy hitters. The others are dropped, greedily, at every step.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. As in the paper half of it is recent
    (`recent`). Under grouped queries a KV head counts the attention of all its query heads. Kept tokens are counted 0,
    1, 2, ... so that no position is untrained; `positions=true` leaves them where the paper has them, for texts that
    fit the model's window.
    """
    return {
        "keep": BestTokens(ReceivedAttention(), capacity, window=recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
