"""PASTA (Zhang et al. 2023): attention steered towards a part of the text that the user highlights."""

from __future__ import annotations

from typing import Annotated

from farspan.methods.parts.axes import Part
from farspan.methods.parts.combine.softmax import Softmax
from farspan.methods.parts.combine.steering import steering
from farspan.methods.parts.method import method
from farspan.methods.parts.numbers import WEIGHT


@method(
    paper="Zhang et al. 2023, Tell Your Model Where to Attend: Post-hoc Attention Steering for LLMs (arXiv 2311.02262)",
    overflow="exact",
    needs=("a highlighted text, to do anything: `ask(question, highlight=...)`",),
)
def pasta(*, alpha: Annotated[float, WEIGHT] = 0.01, heads: str = "all") -> dict[str, Part]:
    """While an answer is written, chosen heads count every token of the text and question outside a highlighted part
    `alpha` times, so that they look at that part. Without a highlight it is the attention that it is joined to.

    Alone it steers full attention; joined to another method, `infllm+pasta`, it steers what that one attends to, and in
    steered layers the blocks of the highlighted text are fetched beside those that the method chooses. What a method
    has dropped cannot be highlighted any more. An answer that was steered does not count as `exact`.

    The authors' `alpha` is 0.01. `heads` are query heads by layer, counted from 0, such as "3:17,7;8:28". The authors
    profile each model for the few that help; the default here, where nothing is known of the model, is all of them.
    They steer from the first token on; here the text has been read by the time that something is highlighted, and the
    question and the answer are steered. As in their code, tokens of the answer itself keep their weight.
    """
    return {"combine": Softmax(steering(alpha, heads))}
