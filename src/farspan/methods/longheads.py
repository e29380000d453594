"""LongHeads (Lu et al. 2024): every head chooses its own chunks of the text (arXiv 2402.10685, section 3)."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.chunk_keys import ChunkKeys
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR_OR_TRUE
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.best_chunks import BestChunks
from farspan.methods.parts.select.ranking import TIMES

_SHARE, _MOST = 16, 256


@method(
    paper="Lu et al. 2024, LongHeads: Multi-Head Attention is Secretly a Long Context Processor (arXiv 2402.10685)",
    overflow="recalls",
)
def longheads(
    *,
    window_size: int | None = None,
    atten_length: int | None = None,
    positions: str = "compact",
    when: str = "both",
) -> dict[str, Part]:
    """Cut the text into chunks, each represented by what its own tokens read from it; every query head and token
    attends to the first chunk, the last two, and the chunks that match it best, at positions counted from the start.

    The authors' numbers for a 4,096-token model are chunks of `window_size` 256 tokens and an `atten_length` of 4,096,
    which is 16 chunks, 13 of them chosen (one at least); None is a 16th of the model's window for the one and all of it
    for the other, and the authors' numbers where that is more. As in their code the chunk key of a head is attention of
    a query over the chunk's keys, where the query is the mean of what the tokens' own queries read from the chunk's
    values. For that the recent tokens keep their queries, on the budget: as the paper defines it by query head, all
    query heads are kept and have their own chunk keys, also where several share keys and values (Llama 2, the authors'
    only model, has no such heads).
    `positions`: "compact" is the paper's; "capped" puts far keys at the edge of the last whole chunk; "true" is for
    models whose positions reach as far as the text (beyond the trained window they are untrained).
    `when`: the authors choose chunks while reading as well ("both"); with "answering" what is read meets the first
    chunk and the last two only, several times as fast.
    Few tokens share a step. Those behind the end of a chunk in theirs still meet the third last, and so exceed
    `atten_length` by less than the step's tokens; the authors start a new chunk with every token.
    """
    return {
        "keep": StoreTheRest(window_size, window_size, sink_share=_SHARE, most_sinks=_MOST, share=_SHARE, most=_MOST),
        "segment": FixedBlocks(window_size, most=_MOST, share=_SHARE),
        "index": ChunkKeys(),
        "select": BestChunks(atten_length, window_size, choice("when", when, TIMES)),
        "positions": choice("positions", positions, FAR_OR_TRUE),
    }
