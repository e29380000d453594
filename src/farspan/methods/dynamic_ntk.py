"""Dynamic NTK scaling (emozilla 2023): the rotary base grows with the text."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.ntk import GrowingBase
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR


@method(
    paper="emozilla 2023, Dynamically Scaled RoPE; described in Peng et al. 2023, YaRN, section 3.3 (arXiv 2309.00071)",
    overflow="exact",
)
def dynamic_ntk(*, factor: Annotated[float, FACTOR] = 1.0, when: str = "beyond") -> dict[str, Part]:
    """Slow the rotary frequencies as NTK-aware scaling does, always by just as much as the length read so far needs.
    A short text is read as trained, and there is no length that one must decide on beforehand.

    The scale is `factor` * length / window - (`factor` - 1): with the original's factor of 1 that is length / window.
    Implementations that store rotated keys mix those of many bases; here all keys are turned anew at every chunk, whose
    end is the length. So logits beyond the window depend, a little, on the size of chunks.
    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. It is made for that: with a
    method that bounds distances, length counts up to that bound only, and with a factor of 1 nothing changes; take ntk
    or yarn there.
    `when` makes no difference to the angles, as inside the window the scale is 1; "always" just never counts as exact.
    """
    return {"frequencies": GrowingBase(factor, choice("when", when, TIMES))}
