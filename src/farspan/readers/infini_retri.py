"""InfiniRetri (Ye et al. 2025): what the question attends to in the last layer is carried on, sentence by sentence.

Shapes: C tokens of a piece, Q tokens of the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from farspan.engine import Model
from farspan.engine.scores import Floats
from farspan.methods.parts.numbers import FROM_ZERO
from farspan.readers.kit.question import Question, best
from farspan.readers.kit.reader import Strategy, chosen_layer, reader
from farspan.readers.kit.text import Range, ReadText, length

_WINDOW, _WINDOW_LENGTH, _TOP_K = 4096, 1024, 300


@dataclass(frozen=True, slots=True)
class Sentences:
    """The sentences that hold the tokens most attended to, carried from piece to piece."""

    window_length: int | None
    top_k: int | None
    answer_length: int
    layer: int | None

    @property
    def as_it_stands(self) -> bool:
        """A text that fits is told whole."""
        return True

    def resolve(self, model: Model) -> Sentences:
        """Lengths that were for a window of 4,096 and more, scaled down for a smaller one; the last layer."""
        share = min(1.0, model.window / _WINDOW)
        return replace(
            self,
            window_length=self.window_length or max(1, int(_WINDOW_LENGTH * share)),
            top_k=self.top_k or max(1, int(_TOP_K * share)),
            layer=chosen_layer(model, self.layer, share=1.0),
        )

    def choose(self, text: ReadText, question: Question) -> Sequence[Sequence[Range]]:
        """The sentences that are left at the end, in their order; the whole where it fits."""
        if text.tokens <= question.room:
            return [text.whole]
        assert self.window_length is not None and self.top_k is not None and self.layer is not None
        piece = min(self.window_length, max(1, question.room // 2))
        kept: list[Range] = []
        weight_Q: Floats | None = None
        for fresh in text.windows_of_sentences(piece):
            sentences = [*kept, *fresh]
            attended = question.attention(text.ids(sentences), self.layer)
            if weight_Q is None:
                weight_Q = attended.question_QQ.sum(1)
            score_C = token_scores(attended.piece_QC, weight_Q, self.answer_length)
            kept = best_sentences(sentences, score_C, self.top_k, question.room - piece)
        return [kept]


def token_scores(attended_QC: Floats, weight_Q: Floats, answer_length: int) -> Floats:
    """The attention of every question token, summed over `answer_length` neighbours and weighted by its square weight.

    Of an even number of neighbours one more lies before the token than behind it.
    """
    score_C = (weight_Q**2) @ attended_QC
    before, after = (min(side, len(score_C)) for side in (answer_length // 2, (answer_length - 1) // 2))
    summed = np.convolve(score_C, np.ones(before + 1 + after, np.float32))
    return summed[after : after + len(score_C)].astype(np.float32)


def best_sentences(sentences: Sequence[Range], score_C: Floats, top_k: int, room: int) -> list[Range]:
    """The sentences that hold one of the best `top_k` tokens; where they do not fit, those with the best tokens."""
    number_C = np.repeat(np.arange(len(sentences)), [end - start for start, end in sentences])
    chosen = best(score_C, top_k)
    order = sorted(chosen, key=lambda at: (-score_C[at], at))
    kept: list[Range] = []
    for number in dict.fromkeys(int(number_C[at]) for at in order):
        if length([*kept, sentences[number]]) <= room:
            kept.append(sentences[number])
    return sorted(kept)


@reader(paper="Ye et al. 2025, Infinite Retrieval: Attention Enhanced LLMs in Long-Context Processing (2502.12962)")
def infini_retri(
    *,
    window_length: int | None = None,
    top_k: int | None = None,
    answer_length: int = 8,
    layer: Annotated[int | None, FROM_ZERO] = None,
) -> Strategy:
    """Read the text piece by piece with the question behind it, keep the whole sentences that hold the `top_k` tokens
    to which the question attends most in the last layer, and carry them into the next piece; answer from those left.

    `window_length`: tokens of new text in a piece, half of what fits at most; `top_k`: tokens that choose sentences
    (None: the authors' 1,024 and 300, scaled down for a window below 4,096); `answer_length`: neighbours whose
    attention is added up; `layer`: the one that is looked at, counted from 0 (None: the last, as in the paper, that
    has no sliding window).

    Every row of the question's attention is weighted by the square of what it pays to the question itself in the first
    piece, as in the authors' code. Sentences that would not leave room for the next piece are kept by their best token,
    while they fit; the authors' code lets them grow. A piece ends with a sentence where it can.

    In which layer a question's words look at their like in the text is a matter of the model. For farspan-tiny it is
    `infini_retri(layer=1)`: its last layer looks at the text only from where the answer begins, which is no part of the
    question. Of 40 needles in texts of two windows the layers 1, 2 and 3 (the last) find 40, 25 and 1. For another
    model, measure it on texts longer than its window:
    `farspan eval run needle --lengths 2K --n 40 --method "infini_retri(layer=1),infini_retri(layer=2)"`.
    """
    return Sentences(window_length, top_k, answer_length, layer)
