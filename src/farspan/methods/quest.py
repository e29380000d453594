"""Quest (Tang et al. 2024): pages by an upper bound on what their keys can score (arXiv 2406.10774, section 3.3)."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.dense_first import dense_first
from farspan.methods.parts.index.bounds import ChannelBounds
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FROM_ZERO
from farspan.methods.parts.positions.far import FAR_OR_TRUE
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.best_bounds import BestBounds
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.terms import Term


@method(
    paper="Tang et al. 2024, Quest: Query-Aware Sparsity for Efficient Long-Context LLM Inference (arXiv 2406.10774)",
    overflow="recalls",
)
def quest(
    *,
    token_budget: int | None = None,
    page_size: int = 16,
    n_init: int | None = None,
    n_local: int | None = None,
    dense_layers: Annotated[int, FROM_ZERO] = 2,
    positions: str = "capped",
    when: str = "answering",
) -> Term:
    """Keep the least and the greatest value of every key channel of a small page, which bound what any of its keys can
    score. Every query head and token fetches the pages with the highest bounds, `token_budget` tokens of them.

    The authors try budgets of 256 to 4,096 tokens on 32K models; None is 2,048, and a quarter of the model's window
    where that is less; three pages at least. As in the paper the search works while answering; reading goes with
    first and recent tokens unless `when` is "both" (the paper reads with full attention). Those, `n_init` and
    `n_local`, are always attended to, which the paper does not need as it reads and stays within the window; None
    scales both by the window.
    As in the paper the first `dense_layers` 2 choose nothing and attend to every page that is stored, at the same times
    as the others look for theirs; that costs more, the longer the text is, and 0 leaves it out. Layers with a sliding
    window of their own are not among them. Far keys are met there
    at distance `n_local` with "compact" too.
    `positions`: "capped" meets far keys at distance `n_local`, where the bound holds; "compact" keeps their order;
    "true" is the paper's, for models whose positions reach as far as the text (beyond the trained window they are
    untrained). Pages are ranked at distance `n_local` with all three, as keys are stored un-rotated.
    """
    far, times = choice("positions", positions, FAR_OR_TRUE), choice("when", when, TIMES)
    return Term.of(
        {
            "keep": StoreTheRest(n_init, n_local),
            "segment": FixedBlocks(page_size),
            "index": ChannelBounds(),
            "select": BestBounds(token_budget, times),
            "positions": far,
        },
        dense_first(dense_layers, times, far),
    )
