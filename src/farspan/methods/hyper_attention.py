"""HyperAttention (Han et al. 2023): attention while reading by buckets of angles and a uniform sample."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.combine.buckets_and_sample import BucketsAndSample
from farspan.methods.parts.keep.sinks_and_window import StoreEverything
from farspan.methods.parts.method import method
from farspan.methods.parts.numbers import Numbers

_MOST_PROJECTIONS = 30


@method(
    paper="Han et al. 2023, HyperAttention: Long-context Attention in Near-Linear Time (arXiv 2310.05869)",
    overflow="recalls",
)
def hyper_attention(
    *,
    min_seq_len: int | None = None,
    block_size: int | None = None,
    sample_size: int | None = None,
    lsh_num_projs: Annotated[int, Numbers(1, _MOST_PROJECTIONS)] = 7,
) -> dict[str, Part]:
    """While reading, a query meets the stored keys that point where it points, found by hashing, and a random sample
    that stands for all the others. Nothing is forgotten, and answers attend to everything.

    The authors' numbers: exact for texts of up to `min_seq_len` 4,096 tokens, blocks of `block_size` 256 keys sorted by
    7 random planes, `sample_size` 256 keys, each counted for as many as it stands for. None follows the model's window
    where that is less: `min_seq_len` is the window, the others a 16th of it.

    The paper halves a text and approximates what the second half sees of the first. Here the last `min_seq_len`
    tokens are met exactly and the stored ones in pieces of 4,096, each with its own blocks and sample: a chunk computes
    an eighth of the logits, so the cost of a token still grows with the text. On one CPU core, 512 queries of 8 heads
    of width 64 (2 KV heads) met a piece in 0.05 s, and in 0.12 s exactly. The paper pairs sorted queries and keys
    by rank, having as many of both; a chunk has few queries, of one place in the text, so here a query goes to where
    its own bucket lies. Keys are hashed rotated to their true positions, as in the paper, whatever the window.
    """
    return {
        "keep": StoreEverything(window=min_seq_len, most=4096),
        "combine": BucketsAndSample(lsh_num_projs, block_size, sample_size),
    }
