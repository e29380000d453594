"""RetroLM (Luo et al. 2025) without its training: pages of keys and values, found by bookmarks (arXiv 2502.11444)."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.bookmarks import LastKey
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.select.top_blocks import TopBlocks


@method(
    paper="Luo et al. 2025, Does RAG Really Perform Bad For Long-Context Processing? (arXiv 2502.11444)",
    overflow="recalls",
)
def retrolm(
    *,
    top_k: int = 16,
    page: int | None = None,
    chunk: int | None = None,
    n_init: int | None = None,
    n_local: int | None = None,
    positions: str = "capped",
    when: str = "both",
) -> dict[str, Part]:
    """Store keys and values in pages, each with a bookmark: the key of its last token, which has seen the page. While
    reading and answering, every layer fetches the `top_k` pages whose bookmarks match the chunk's mean query.

    This is the paper's retrieval without what the authors train. Their bookmark is a token of its own behind each page,
    with projections of its own, taught by contrast which pages are needed, and the model is trained further on text
    that it meets in retrieved pages. A plain model's last key says what that token is looked at for, not what its page
    holds, so expect less than the paper reports. What is left is `infllm` with another representative, which needs no
    attention weights; its numbers, not the paper's, are what None and `top_k` stand for.
    `positions`: "capped" puts all far keys at distance `n_local`; "compact" keeps their order.
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": FixedBlocks(page),
        "index": LastKey(),
        "select": TopBlocks(top_k, chunk, choice("when", when, TIMES)),
        "positions": choice("positions", positions, FAR),
    }
