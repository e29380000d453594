"""InfLLM (Xiao et al. 2024): blocks in a context memory, looked up by their most attended keys."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.attention_mass import MostAttended
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.select.top_blocks import HEADS, TopBlocks


@method(
    paper="Xiao et al. 2024, InfLLM: Training-Free Long-Context Extrapolation (arXiv 2402.04617)", overflow="recalls"
)
def infllm(
    *,
    n_init: int | None = None,
    n_local: int | None = None,
    top_k: int = 16,
    block: int | None = None,
    repr_top_k: int = 4,
    exc_block: int | None = None,
    heads: str = "shared",
    positions: str = "capped",
    when: str = "both",
) -> dict[str, Part]:
    """Store what leaves the local window in blocks, each represented by the keys that were attended to most; every
    chunk of queries fetches the `top_k` blocks that match its mean query, the same ones for all heads of a layer.

    The authors' numbers for a 4,096-token model are `n_init` 128, `n_local` 2,048, `block` 128, `top_k` 16,
    `repr_top_k` 4, `exc_block` 512 (queries in one lookup); None scales those lengths down with a smaller window.
    `heads`: "shared" is the paper's; with "own" every query head fetches its own blocks.
    `positions`: "capped" puts all far keys at distance `n_local`, as the paper does; "compact" keeps their order.
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": FixedBlocks(block),
        "index": MostAttended(repr_top_k),
        "select": TopBlocks(top_k, exc_block, choice("when", when, TIMES), choice("heads", heads, HEADS)),
        "positions": choice("positions", positions, FAR),
    }
