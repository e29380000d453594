"""LM-Infinite (Han et al. 2023): a lambda-shaped mask and a cap on distance (arXiv 2308.16137)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.keep.sinks_and_window import SinksAndWindow
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FROM_ZERO
from farspan.methods.parts.place.layers import FirstLayers
from farspan.methods.parts.positions.capped import CappedDistance
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.best_keys import BestKeys
from farspan.methods.parts.select.nothing import Nothing
from farspan.methods.parts.select.ranking import TIMES
from farspan.methods.parts.terms import Term


@method(paper="Han et al. 2023, LM-Infinite (arXiv 2308.16137)", overflow="forgets")
def lm_infinite(
    *,
    n_global: int = 10,
    n_local: int | None = None,
    top_k: int | None = None,
    top_k_from_layer: Annotated[int | None, FROM_ZERO] = None,
    when: str = "answering",
) -> Term:
    """Attend to the first `n_global` tokens and the last `n_local`; no distance counts as more than `n_local`, so all
    first tokens are met at the edge of the window. The middle is forgotten.

    Defaults are the authors': 10 first tokens, and a window as long as the model's (here less those 10, so that
    no distance exceeds what was trained).
    With `top_k`, which is the authors' option for passkeys and questions (they take 5), the middle is stored instead,
    and every query head and token fetches its `top_k` best keys of it, found by an exact scan and met at half of the
    model's window. `top_k_from_layer`: the first layer that does so, counted from 0 among those without a sliding
    window; None is an eighth of them, which is their 4 of 32; those before it forget the middle. They do it for the
    last token of a prompt and for those of the answer; here it is for the whole prompt and the answer ("answering"), or
    for whatever `when` says. A token can be fetched from the step after the one in which it left the window.
    Tokens are stored one by one, so with `int8` and `int4` a key shares a grid among its own channels, as a value does.
    """
    window, capped = SinksAndWindow(n_global, n_local), CappedDistance("hidden")
    forgets: dict[str, Part] = {"keep": window, "positions": capped, "select": Nothing()}
    times = choice("when", when, TIMES)
    if top_k is None:
        return Term.of(forgets)
    return Term.of(
        {
            "keep": replace(window, stores=True),
            "segment": FixedBlocks(1),
            "select": BestKeys(top_k, times),
            "positions": replace(capped, recall_share=2),
        },
        (FirstLayers(top_k_from_layer, left=True), forgets),
    )
