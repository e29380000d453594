"""ActQKV (Xiao et al. 2025): a probe query of tokens that stand out, a budget shared by layers (arXiv 2502.13542)."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.index.attention_mass import MostAttended
from farspan.methods.parts.keep.sinks_and_window import StoreTheRest
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import FAR
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.probed_blocks import ProbedBlocks
from farspan.methods.parts.select.ranking import TIMES


@method(
    paper="Xiao et al. 2025, Activation-aware Probe-Query: Effective Key-Value Retrieval for Long-Context LLMs "
    "Inference (arXiv 2502.13542)",
    overflow="recalls",
)
def actqkv(
    *,
    n_init: int | None = None,
    n_local: int | None = None,
    top_k: int = 46,
    min_k: int = 32,
    block: int | None = None,
    repr_top_k: int = 4,
    exc_block: int | None = None,
    warmup_step: int = 100,
    positions: str = "capped",
    when: str = "both",
) -> dict[str, Part]:
    """Store small blocks, and fetch those that match a mean query in which tokens count the more, the further their
    queries lie from what the layer has seen so far. While answering, layers share one budget of blocks, and those whose
    scores are more even fetch more.

    The authors' numbers, for a budget of about 2,048 tokens, are `n_init` 64, `n_local` 512, `block` 32, `top_k` 46,
    `repr_top_k` 4 and `exc_block` 256 (queries in one lookup); None scales those lengths down with a window below
    4,096. `top_k` blocks are fetched while reading and are the mean over the layers while answering, `min_k` and twice
    `top_k` the limits of a layer; layers share evenly until each has seen `warmup_step` lookups.
    As in the authors' code, blocks are scored by cosine, and the running mean and variance of the queries count every
    lookup as much as any other, of the last 1,000 at most. There all layers share these two, and the first 1,000
    lookups weigh all tokens alike; here every layer has its own from the first lookup on. Their code also adds the
    likeness to the question, which a session does not know while it reads: that is not part of it. As in infllm, query
    heads that share a KV head share what stands for a block.
    """
    return {
        "keep": StoreTheRest(n_init, n_local, sink_share=64, most_sinks=64, share=8, most=512),
        "segment": FixedBlocks(block, most=32, share=128),
        "index": MostAttended(repr_top_k),
        "select": ProbedBlocks(top_k, min_k, warmup_step, exc_block, choice("when", when, TIMES)),
        "positions": choice("positions", positions, FAR),
    }
