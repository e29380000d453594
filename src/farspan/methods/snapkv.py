"""SnapKV (Li et al. 2024): what the last queries look at."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.observed import ObservedAttention
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method, odd
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Li et al. 2024, SnapKV: LLM Knows What You are Looking for Before Generation (arXiv 2404.14469)",
    overflow="forgets",
)
def snapkv(
    *,
    capacity: int | None = None,
    window_size: int | None = None,
    kernel_size: int = 5,
    positions: str = "compact",
) -> dict[str, Part]:
    """Keep, for every head, the tokens that the last `window_size` queries attend to, with their neighbours, and those
    last tokens themselves. What the question does not ask for is dropped.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. The paper compresses a prompt once, when
    all of it has been held; here the choice is made anew whenever the room is full, by the last queries then, while
    reading and while answering. Sums over an observation window of 32 (a 32nd of the model's window where that is
    less), average pooling of 5 (`kernel_size`). Kept tokens are counted 0, 1, 2, ... so that no position is untrained;
    `positions=true` leaves them where the paper has them, for texts that fit the model's window.
    """
    return {
        "keep": BestTokens(ObservedAttention(window_size, odd("kernel_size", kernel_size)), capacity),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
