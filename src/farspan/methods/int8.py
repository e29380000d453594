"""KIVI (Liu et al. 2024) at eight bits: stored keys and values as small whole numbers."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.codec.quantised import QuantisedBlocks
from farspan.methods.parts.method import method


@method(
    paper="Liu et al. 2024, KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache (arXiv 2402.02750)",
    overflow="compresses",
)
def int8(*, group: int = 32) -> dict[str, Part]:
    """Store keys and values in 8 bits, keys on one grid for every channel and `group` tokens, values on one for every
    token and `group` channels. Recent tokens stay as they are; alone it is full attention over what is stored.

    Joined to a method that stores blocks it encodes them: `infllm+int8`. With a grid of four bytes for every 32 numbers
    a number takes 9 bits. A group of keys ends with its block. In blocks of 4 tokens or fewer, as of methods that store
    tokens one by one (`em_llm+int8`), a channel's grid would take no less than its codes: there keys share a grid along
    channels, as values do. `full(n_local=128)+int8` keeps the paper's 128 recent tokens. The paper has 2 and 4 bits and
    quantises keys after their rotation; here they are stored before it, so that they can be met at any position.
    """
    return {"codec": QuantisedBlocks(8, group)}
