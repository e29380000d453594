"""YaRN (Peng et al. 2023): slow rotary frequencies are interpolated, fast ones left, attention sharpened."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.frequencies.by_parts import ByParts
from farspan.methods.parts.frequencies.stretched import TIMES
from farspan.methods.parts.method import choice, method
from farspan.methods.parts.numbers import FACTOR, TURNS


@method(
    paper="Peng et al. 2023, YaRN: Efficient Context Window Extension of Large Language Models (arXiv 2309.00071)",
    overflow="exact",
)
def yarn(
    *,
    factor: Annotated[float, FACTOR] = 4.0,
    beta_fast: Annotated[float, TURNS] = 32.0,
    beta_slow: Annotated[float, TURNS] = 1.0,
    when: str = "beyond",
) -> dict[str, Part]:
    """Divide by `factor` the rotary frequencies that turn less than `beta_slow` times in the trained window, leave
    those that turn more than `beta_fast` times, blend between, and sharpen attention a little. Close distances stay as
    they were learnt.

    Alone it extends full attention: everything is attended to, hence its label, but beyond the trained window not at
    the angles that the model learnt, and `counts.exact` is then false. With a method that recalls or forgets it
    stretches the window which that method's lengths follow.

    The paper takes factors of 16 and 32 and trains for 400 steps; untrained, less is more, and the default is 4.
    Queries and keys are multiplied by 0.1 ln(factor) + 1. The ramp is that of the authors' code and of transformers.
    In a model whose frequencies are scaled already (Llama 3, LongRoPE) the bands lie where those turn so often.
    A text of any length goes on being read: past `factor` windows positions are untrained again.
    `when`: with "beyond" a text that fits the trained window is read with the trained angles, and so exactly; once it
    does not, all of it is turned into the new ones, which stored keys allow since they are un-rotated. "always" is the
    paper's static form, the new angles from the first token, and never exact.
    """
    return {"frequencies": ByParts(factor, choice("when", when, TIMES), fast=beta_fast, slow=beta_slow)}
