"""TOVA (Oren et al. 2024): the token that the last query looks at least goes."""

from __future__ import annotations

from farspan.methods.parts.axes import Part
from farspan.methods.parts.importance.observed import ObservedAttention
from farspan.methods.parts.keep.best_tokens import BestTokens
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.positions.far import KEPT
from farspan.methods.parts.select.nothing import Nothing


@method(
    paper="Oren et al. 2024, Transformers are Multi-State RNNs (arXiv 2401.06104)",
    overflow="forgets",
)
def tova(*, capacity: int | None = None, recent: int = 1, positions: str = "compact") -> dict[str, Part]:
    """At every step drop the token to which the last query attends least, on average over the heads of a layer. No
    token is kept for its place, but the last one.

    `capacity` is all that there is room for, in tokens: the model's window by default, and less where the budget pays
    for less; an eighth of it (512 at most) is left free for those that come. While reading, the last query of a chunk
    drops as many tokens as the next one has, so that shorter chunks follow the paper more closely. `recent` tokens
    stay: the last one, whose own query chooses, where the paper lets even that one go. Kept tokens are counted 0, 1, 2,
    ... so that no position is untrained; `positions=true` leaves them where the paper has them, for texts that fit the
    model's window.
    """
    return {
        "keep": BestTokens(ObservedAttention(1, 1, together=True), capacity, window=recent),
        "positions": choice("positions", positions, KEPT),
        "select": Nothing(),
    }
