"""Expected Attention (Devoto et al. 2025): what queries to come are expected to look at."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.expected_attention import MOST_AHEAD, ExpectedAttention
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import Numbers
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Devoto et al. 2025, Expected Attention: KV Cache Compression by Estimating Attention from Future "
    "Queries (arXiv 2510.00636)",
    overflow="forgets",
)
def expected_attention(
    *,
    capacity: int | None = None,
    future: Annotated[int, Numbers(1, MOST_AHEAD)] = 512,
    sinks: int = 4,
    recent: int = 1,
    compression_interval: int | None = None,
    positions: str = "compact",
) -> dict[str, Part]:
    """Keep, for every head, the tokens to which the queries to come are expected to attend, weighed by the norm of
    their values: queries are taken for normally distributed, as they were so far, at the next `future` positions.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. The first `sinks` tokens and `recent` ones
    stay, and so do those since the last choice: there is one in `compression_interval` tokens that are written (None:
    512, as the authors have it, and an eighth of the model's window where that is less). Mean and covariance are of all
    queries of the stream, and paid from the budget. Every head keeps as many tokens; the paper also has heads that
    share them unevenly. Kept tokens are counted 0, 1, 2, ... so that no position is untrained; `positions=true` leaves
    them where the paper has them, for texts that fit the model's window.
    """
    return {
        "keep": BestTokens(ExpectedAttention(future, sinks, compression_interval), capacity, sinks, recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
