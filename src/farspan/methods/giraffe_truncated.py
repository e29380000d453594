"""Giraffe's truncated basis (Pal et al. 2023): rotary frequencies that never came round stand still."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.basis import TruncatedBasis
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR


@method(
    paper="Pal et al. 2023, Giraffe: Adventures in Expanding Context Lengths in LLMs (arXiv 2308.10882)",
    overflow="exact",
)
def giraffe_truncated(
    *, span: int | None = None, factor: Annotated[float, FACTOR] = 4.0, when: str = "beyond"
) -> dict[str, Part]:
    """Keep the rotary frequencies that turn at least once in `span` tokens, give those a little slower one turn in
    16 spans, and stop the slowest. Of what is left the model has seen every angle, or sees hardly any change.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    A `span` of None is the trained window; the band from the cutoff to an 8th of it is the authors'. They train
    afterwards, which is not done here. `factor` changes no angle: it says how long a window other methods may count on.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": TruncatedBasis(factor, choice("when", when, TIMES), span=span)}
