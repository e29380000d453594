"""Self-Extend (Jin et al. 2024): exact distances to neighbours, grouped ones to everything else."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import StoreEverything
from farspan.methods.parts.method import method
from farspan.methods.parts.positions.grouped import GroupedPositions
from farspan.methods.parts.select.everything import Everything

_SHARE = 4


@method(
    paper="Jin et al. 2024, LLM Maybe LongLM: Self-Extend LLM Context Window Without Tuning (arXiv 2401.01325)",
    overflow="exact",
)
def self_extend(*, group: int = 4, window: int | None = None) -> dict[str, Part]:
    """Meet the last `window` tokens at their true distances and all earlier ones at distances counted in groups of
    `group` tokens, so that far ones stay within the trained range. No training, and nothing is forgotten.

    A key n that is `window` or further from a query m is met at n // group, and the query stands at
    m // group + window - window // group. Distances stay trained up to (L - window) * group + window tokens for a
    trained window of L; a longer text goes on being read, untrained. Every token is attended to, hence the label, but
    beyond the trained window not at its own distance, and `counts.exact` is then false.

    Defaults are those of the authors' example for Mistral: groups of 4, and 1,024 tokens as neighbours (None: a quarter
    of the model's window); for Llama-2's window of 4,096 they take groups of 8 to 32 with as many. Theirs groups every
    text longer than `window`; here one that fits the trained window is read as it is, exactly.
    """
    return {
        "keep": StoreEverything(window=window, share=_SHARE, while_it_fits=True),
        "positions": GroupedPositions(group),
        "select": Everything(),
    }
