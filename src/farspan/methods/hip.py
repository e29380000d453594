"""InfiniteHiP (Lee et al. 2025): blocks found by halving, in three stages (arXiv 2502.08910, section 4)."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.dense_first import dense_first
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FROM_ZERO
from farspan.methods.parts.positions.far import FAR_OR_TRUE
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.select.tree_scan import TreeScan
from farspan.methods.parts.terms import Term


@method(
    paper="Lee et al. 2025, InfiniteHiP: Extending Language Model Context Up to 3 Million Tokens (arXiv 2502.08910)",
    overflow="recalls",
)
def hip(
    *,
    second_stage_k: int | None = None,
    chunk_size: int | None = None,
    sink_token_size: int | None = None,
    sliding_window_size: int | None = None,
    dense_layers: Annotated[int | None, FROM_ZERO] = None,
    positions: str = "compact",
    when: str = "both",
) -> Term:
    """Find what a chunk of up to 64 queries needs by halving: of each stretch of text look at two keys, go on in the
    better half, and keep the best stretches for a finer scan, three times over. There is no index, and a head looks at
    about a sixteenth of the stored keys.

    The authors' numbers for 128K models: stretches of 256 tokens over everything, of 32 within the best 32,768 and of
    8 within the best 8,192, of which `second_stage_k` 2,048 tokens are attended to beside `sink_token_size` 256 first
    and `sliding_window_size` 1,024 recent ones. Here `chunk_size` is the last stage's 8 tokens (a 32nd of the window
    where that is less) and the others are 32 and 4 times that, keeping 16 and 4 times `second_stage_k`; None for
    `second_stage_k` is 2,048, and a quarter of the window where that is less; None for the last two scales them by
    the window as in the other methods. As in the authors' code a stretch counts as the best score that halving met,
    queries are pooled four by four in the first two stages, and the scan meets keys at one distance ("relative"),
    the edge of the window. While an answer is written token by token, the three stages are scanned anew every 32, 16
    and 8 steps, as in the authors' code, and blocks that are stored meanwhile are all fetched. The first `dense_layers`
    scan nothing and attend to all that is stored, far keys at the edge of the window unless `positions` is "true". The
    authors' code has four such layers of 32 unless told otherwise, hence None, an eighth of the model's, and the last
    one too, which is written `full[-1]+hip`; 0 is the fastest, since they cost more, the longer the text is.
    On one CPU core, with 131,072 stored tokens in memory, 8 query heads, 2 KV heads of width 64 and
    `second_stage_k=512`, a scan for one token took 7.6 ms and an exact one (as in `topk`) 7.9 ms, for 64 tokens at once
    14 and 175 ms; over the steps of an answer a scan took 0.4 ms on average.
    `positions`: "compact" is the paper's; "capped" puts far keys at the edge of the window; "true" is for models whose
    positions reach as far as the text (beyond the trained window they are untrained).
    """
    far, times = choice("positions", positions, FAR_OR_TRUE), choice("when", when, TIMES)
    return Term.of(
        {
            "keep": StoreTheRest(sink_token_size, sliding_window_size),
            "segment": FixedBlocks(chunk_size, most=8),
            "select": TreeScan(second_stage_k, times),
            "positions": far,
        },
        dense_first(dense_layers, times, far),
    )
