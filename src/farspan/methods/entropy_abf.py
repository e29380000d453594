"""Entropy-ABF (Zhang et al. 2024): a larger rotary base, and logits sharpened by position."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.rebased import SharpenedBase
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import BASE, FACTOR


@method(
    paper="Zhang et al. 2024, Extending LLMs' Context Window with 100 Samples (arXiv 2401.07004)",
    overflow="exact",
)
def entropy_abf(
    *, base: Annotated[float, BASE] = 500000.0, factor: Annotated[float, FACTOR] = 4.0, when: str = "beyond"
) -> dict[str, Part]:
    """Make the rotary frequencies powers of a larger `base`, and from the third layer on multiply a query's logits by
    ln(tokens it meets) / ln(window) where that is more than 1, so that attention over many tokens stays as sharp.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The paper's window goes from 4,096 to 16,384 tokens, hence `factor` 4, which changes no angle: it says how long a
    window other methods may count on. With those a query meets no more tokens than they keep in their window, and is
    sharpened by no more. The model's own base is its configuration's `rope_theta`; where it is 500,000 or more, a
    larger one must be given. Frequencies that are scaled already (Llama 3, LongRoPE) stay so.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": SharpenedBase(factor, choice("when", when, TIMES), base=base)}
