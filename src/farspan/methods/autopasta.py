"""AutoPASTA (Zhang et al. 2024): the model says which sentence matters, and attention is steered towards it."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.combine.softmax import Softmax
from farspan.methods.parts.combine.steering import steering
from farspan.methods.parts.method import method
from farspan.methods.parts.numbers import WEIGHT


@method(
    paper="Zhang et al. 2024, Model Tells Itself Where to Attend: Faithfulness Meets Automatic Attention Steering "
    "(arXiv 2409.10790)",
    overflow="exact",
    needs=("two answers for each question",),
)
def autopasta(*, alpha: Annotated[float, WEIGHT] = 0.01, heads: str = "all") -> dict[str, Part]:
    """Ask the model which sentence of the text answers the question, find that sentence in the text, and answer with
    attention steered towards it as in `pasta`. The model is not only told what matters: it is made to look there.

    For `ask` only; a highlight that is given is taken instead. Both answers are made on forks, and the session stays as
    it was. The sentence is the one that shares most words with the model's reply (the authors compare embeddings); when
    none has half of them, the answer is not steered. The words of the first question are not the authors'. The text is
    searched from its beginning, which takes a second or two for every ten million characters. `alpha` and `heads`, and
    what joining it to another method does, are as in `pasta`: the authors profile the heads of each model.
    """
    return {"combine": Softmax(steering(alpha, heads, asks=True))}
