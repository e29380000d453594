"""NTK-aware scaling (bloc97 2023): slow rotary frequencies are slowed more than fast ones."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.ntk import LargerBase
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR


@method(
    paper="bloc97 2023, NTK-Aware Scaled RoPE; described in Peng et al. 2023, YaRN, section 3.1 (arXiv 2309.00071)",
    overflow="exact",
)
def ntk(*, factor: Annotated[float, FACTOR] = 4.0, when: str = "beyond") -> dict[str, Part]:
    """Divide the slowest rotary frequency by `factor`, leave the fastest alone and the others between, by a larger
    base. Close distances stay as they were learnt and only far ones are squeezed.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The base becomes base * factor^(d / (d - 2)) for d rotated dims; what changes is a ratio for every frequency, so
    that a model whose frequencies are scaled already (Llama 3, LongRoPE) has those scaled further.
    A text of any length goes on being read: somewhat short of `factor` windows positions are untrained again.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": LargerBase(factor, choice("when", when, TIMES))}
