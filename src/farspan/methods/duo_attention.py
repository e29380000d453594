"""DuoAttention (Xiao et al. 2024): only heads that retrieve keep everything (arXiv 2410.10819, section 3)."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.keep.sinks_and_window import FewTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import SHARE
from farspan.methods.parts.place.streaming_heads import StreamingHeads
from farspan.methods.parts.positions.far import HIDDEN
from farspan.methods.parts.select.nothing import Nothing
from farspan.methods.parts.terms import Term


@method(
    paper="Xiao et al. 2024, DuoAttention: Efficient Long-Context LLM Inference with Retrieval and Streaming Heads "
    "(arXiv 2410.10819)",
    overflow="forgets",
    needs=("a profile of the model's heads, measured once: farspan eval heads -o heads.json",),
)
def duo_attention(
    *,
    profile: str = "",
    sparsity: Annotated[float, SHARE] = 0.5,
    sink_size: int | None = None,
    recent_size: int | None = None,
    positions: str = "true",
) -> Term:
    """Heads that fetch facts from afar keep every token; the share `sparsity` of KV heads that do so least keep the
    first `sink_size` tokens and the last `recent_size` only. Memory shrinks by nearly that share, and what retrieval
    heads look up stays there to be looked up.

    `profile` is the file that `farspan eval heads -o FILE` writes. The authors train a gate for every KV head; here
    heads are told apart by the retrieval scores of Wu et al. 2024 (arXiv 2404.15574), which are measured and not
    trained, and which the authors found a weaker guide. Where query heads share a KV head, its score is the highest of
    theirs. Defaults are those of the authors' code: half of the heads (theirs for models with grouped heads; .75
    without), 64 first and 256 recent tokens; None is less where the model's window is: a 16th of it, and the rest.
    `positions`: "true" is the paper's, every key at its own distance; "compact" and "capped" bring the first tokens of
    heads that stream within the trained window.
    Joined to a method for what does not fit it leaves the heads that retrieve to that: `duo_attention(...)+infllm`;
    alone those are full attention, which grows with the text and goes to disk where the budget ends.
    """
    return Term.of(
        {
            "keep": FewTokens(sink_size, recent_size),
            "positions": choice("positions", positions, HIDDEN),
            "select": Nothing(),
        },
        only=StreamingHeads(profile, float(sparsity)),
    )
