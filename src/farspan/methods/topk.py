"""The oracle of block retrieval: an exact scan over all keys finds the blocks with the best ones."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.best_keys import BestKeys
from farspan.methods.parts.select.ranking import TIMES


@method(paper="none: the exact selection that block retrieval methods approximate", overflow="recalls")
def topk(
    *,
    n_init: int = 4,
    n_local: int | None = None,
    top_k: int = 8,
    block: int | None = None,
    positions: str = "capped",
    when: str = "answering",
) -> dict[str, Part]:
    """For every query head and token, fetch the `top_k` blocks that hold its best keys of all, found by an exact scan
    over the keys in whatever tier they lie. An upper bound on what a cheaper selection can find.

    The scan reads every stored key, so it works while answering and reading goes with sinks and window, unless
    `when` is "both". None for `n_local` is half of the model's window (4,096 at most); for `block` 128 tokens,
    and a 32nd of the window where that is less.
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": FixedBlocks(block),
        "select": BestKeys(top_k, choice("when", when, TIMES)),
        "positions": choice("positions", positions, FAR),
    }
