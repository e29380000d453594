"""Position Interpolation (Chen et al. 2023): every position counts as a fraction of itself."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.interpolated import Interpolated
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR


@method(
    paper="Chen et al. 2023, Extending Context Window of LLMs via Positional Interpolation (arXiv 2306.15595)",
    overflow="exact",
)
def pi(*, factor: Annotated[float, FACTOR] = 4.0, when: str = "beyond") -> dict[str, Part]:
    """Divide every rotary frequency by `factor`, so that positions up to `factor` trained windows are squeezed into
    one. No position is untrained, but neighbours come closer together than the model has learnt to tell apart.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The paper's factor is the length wanted over the window, and 4 for its 2,048 to 8,192; a stream has no such length,
    so 4 is the default. It trains for 1,000 steps afterwards, which is not done here.
    A text of any length goes on being read: past `factor` windows positions are untrained again.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": Interpolated(factor, choice("when", when, TIMES))}
