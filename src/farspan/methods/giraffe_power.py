"""Giraffe's power basis (Pal et al. 2023): the slower a rotary frequency, the more it is slowed."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.basis import PowerBasis
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR


@method(
    paper="Pal et al. 2023, Giraffe: Adventures in Expanding Context Lengths in LLMs (arXiv 2308.10882)",
    overflow="exact",
)
def giraffe_power(
    *, power: float = 0.5, factor: Annotated[float, FACTOR] = 4.0, when: str = "beyond"
) -> dict[str, Part]:
    """Multiply rotary frequency i of F by (1 - i / F)^`power`: fast ones stay nearly as they are, the slowest almost
    stand still. So fewer angles are ones that the model never saw in training.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The authors tested a power of 0.5, and train afterwards, which is not done here.
    `factor` changes no angle: it says how long a window other methods may count on.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": PowerBasis(factor, choice("when", when, TIMES), power=power)}
