"""ShadowKV (Sun et al. 2024): chunks by their landmarks, keys of low rank, outliers as they are (arXiv 2410.21465,
sections 3 and 4)."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.codec.low_rank import LowRankKeys
from farspan.methods.parts.index.landmarks import Landmarks
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR_OR_TRUE
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.select.top_landmarks import TopLandmarks


@method(
    paper="Sun et al. 2024, ShadowKV: KV Cache in Shadows for High-Throughput Long-Context LLM Inference"
    " (arXiv 2410.21465)",
    overflow="recalls",
)
def shadowkv(
    *,
    sparse_budget: int | None = None,
    chunk_size: int = 8,
    rank: int | None = None,
    outlier_chunk: int | None = None,
    n_init: int | None = None,
    n_local: int | None = None,
    positions: str = "capped",
    when: str = "answering",
) -> dict[str, Part]:
    """Store small chunks with keys of low rank, each represented by its mean key, its landmark. Every KV head fetches
    the chunks whose landmarks draw most attention, and always meets its few outliers, the chunks that a mean represents
    worst, with their exact keys.

    The authors' numbers for 128K models are `sparse_budget` 2,048 tokens in chunks of 8, `rank` 160 and `outlier_chunk`
    48 a head; None scales them by the model's window (for the rank see `low_rank`). They read with full attention, and
    find outliers and directions when the whole prompt is there. Here outliers are the worst chunks of what was stored
    so far: one that turns out worse takes the place of the least of them, which from then on is a chunk like others,
    with keys of low rank. Their exact keys count in the budget, their values lie where all values do. As in the paper
    the search works while answering, and reading goes with first and recent tokens unless `when` is "both"; queries
    that are worked on together, up to 32, share a choice, by the sum of their attention. The paper's local chunks and
    generated tokens are the `n_local` recent ones. Its two tiers, values on the host and the rest on the device, are
    the session's: what is full moves its oldest chunks down, keys and values together.
    `positions`: landmarks are means before rotation, ranked at distance `n_local`, where "capped" meets far keys;
    "compact" keeps their order; "true" is the paper's (and beyond the trained window untrained).
    """
    return {
        "keep": StoreTheRest(n_init, n_local),
        "segment": FixedBlocks(chunk_size),
        "index": Landmarks(outlier_chunk),
        "select": TopLandmarks(sparse_budget, choice("when", when, TIMES)),
        "codec": LowRankKeys(rank),
        "positions": choice("positions", positions, FAR_OR_TRUE),
    }
