"""Adjusted base frequency (Xiong et al. 2023): rotary frequencies are powers of a larger base."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.rebased import AdjustedBase
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import BASE, FACTOR


@method(
    paper="Xiong et al. 2023, Effective Long-Context Scaling of Foundation Models (arXiv 2309.16039)",
    overflow="exact",
)
def abf(
    *, base: Annotated[float, BASE] = 500000.0, factor: Annotated[float, FACTOR] = 8.0, when: str = "beyond"
) -> dict[str, Part]:
    """Make the rotary frequencies powers of a larger `base`, so that far tokens are turned, and so faded, less.
    It is how models are trained on for longer windows; without that training it is a guess.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The paper's base is 500,000 and its window goes from 4,096 to 32,768 tokens, hence `factor` 8, which changes no
    angle: it says how long a window other methods may count on. Every frequency is multiplied by a power of the ratio
    to the model's own base, which its configuration gives (`rope_theta`); ones that are scaled already (Llama 3,
    LongRoPE) stay so. For a model whose own base is 500,000 or more a larger one must be given.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": AdjustedBase(factor, choice("when", when, TIMES), base=base)}
