"""Full attention over every token, at its own position."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import StoreEverything
from farspan.methods.parts.method import method
from farspan.methods.parts.select.everything import Everything


@method(paper="Vaswani et al. 2017, Attention Is All You Need (arXiv 1706.03762)", overflow="exact")
def full(*, n_local: int | None = None) -> dict[str, Part]:
    """Attend to everything that was ever read, whichever tier it lies in. Exact, at a cost per token that grows with
    the text; beyond its window the model sees positions that it was not trained on.

    All but the last `n_local` tokens (None: the model's window) are stored in blocks, which lie in any tier and which
    a codec may encode: `full(n_local=128)+int8`.
    """
    return {"keep": StoreEverything(window=n_local), "select": Everything()}
