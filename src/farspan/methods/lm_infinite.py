"""LM-Infinite (Han et al. 2023): a lambda-shaped mask and a cap on distance."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import SinksAndWindow
from farspan.methods.parts.method import method
from farspan.methods.parts.positions.capped import CappedDistance
from farspan.methods.parts.select.nothing import Nothing


@method(paper="Han et al. 2023, LM-Infinite (arXiv 2308.16137)", overflow="forgets")
def lm_infinite(*, n_global: int = 10, n_local: int | None = None) -> dict[str, Part]:
    """Attend to the first `n_global` tokens and the last `n_local`; no distance counts as more than `n_local`, so all
    first tokens are met at the edge of the window. The middle is forgotten.

    Defaults are the authors': 10 first tokens, and a window as long as the model's (here less those 10, so that
    no distance exceeds what was trained). Their optional top-k of middle tokens is not part of it.
    """
    return {
        "keep": SinksAndWindow(n_global, n_local),
        "positions": CappedDistance("hidden"),
        "select": Nothing(),
    }
