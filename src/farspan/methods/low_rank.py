"""Low-rank keys (ShadowKV, Sun et al. 2024, arXiv 2410.21465, section 3.1): before their rotation, keys of all heads
lie near few directions."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.codec.low_rank import LowRankKeys
from farspan.methods.parts.method import method


@method(
    paper="Sun et al. 2024, ShadowKV: KV Cache in Shadows for High-Throughput Long-Context LLM Inference"
    " (arXiv 2410.21465)",
    overflow="compresses",
)
def low_rank(*, rank: int | None = None) -> dict[str, Part]:
    """Store of each token's keys, the KV heads of a layer side by side and before their rotation, only the coordinates
    along `rank` directions. Values and recent tokens stay as they are; alone it is full attention over what is stored.

    Joined to a method that stores blocks it encodes them: `infllm+low_rank`. The authors' `rank` is 160 for every
    model, of 256 (GLM-4) to 3,072 numbers that a token's keys have; None is that, and 5 / 8 where a model's keys have
    less than 256. They take the singular vectors of the whole prompt's keys, once it has been read. A stream has no
    whole: here a layer takes those of the keys that are at hand when its first block is stored, about a window of
    tokens, and keeps them for good; text that is unlike the beginning is stored less well than in the paper. Where
    those keys span fewer directions, later ones add the rest. The directions are float32, count in the budget and are
    saved with the session.
    """
    return {"codec": LowRankKeys(rank)}
