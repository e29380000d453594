"""GemFilter (Shi et al. 2024): an early layer chooses the tokens that the whole model then reads."""

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
from farspan.readers.kit.text import Range, ReadText, joined

_PAPERS_DEPTH = 13 / 32


@dataclass(frozen=True, slots=True)
class EarlyLayer:
    """The tokens whose keys in an early layer match the last token's queries best."""

    top_k: int
    layer: int | None
    kernel: int

    @property
    def as_it_stands(self) -> bool:
        """A text that fits is told whole."""
        return True

    def resolve(self, model: Model) -> EarlyLayer:
        """The layer at the paper's share of the model's depth, where none is given."""
        return replace(self, layer=chosen_layer(model, self.layer, _PAPERS_DEPTH))

    def choose(self, text: ReadText, question: Question) -> Sequence[Sequence[Range]]:
        """The best tokens of all windows, in their order; the whole where it fits."""
        if text.tokens <= question.room:
            return [text.whole]
        assert self.layer is not None
        count = min(self.top_k, question.room)
        score, at = np.empty(0, np.float32), np.empty(0, np.int64)
        for start, end in text.windows(question.room):
            fresh = smoothed(question.products(text.ids([(start, end)]), self.layer), self.kernel)
            score, at = np.concatenate((score, fresh)), np.concatenate((at, np.arange(start, end)))
            kept = best(score, count)
            score, at = score[kept], at[kept]
        return [joined(at.tolist())]


def smoothed(score_S: Floats, kernel: int) -> Floats:
    """Averages over `kernel` neighbours; beyond the ends there are zeros."""
    before, after = (min(side, len(score_S)) for side in ((kernel - 1) // 2, kernel // 2))
    whole = np.convolve(score_S, np.full(before + 1 + after, 1 / kernel, np.float32))
    return whole[after : after + len(score_S)].astype(np.float32)


@reader(paper="Shi et al. 2024, Discovering the Gems in Early Layers (arXiv 2409.17422)")
def gemfilter(*, top_k: int = 1024, layer: Annotated[int | None, FROM_ZERO] = None, kernel: int = 5) -> Strategy:
    """Run only the first layers over the text and the question, score every token by its key against the last token's
    queries, and give the model the best `top_k` tokens, in their order and at fresh positions, to answer from.

    `layer`: the layer that scores, counted from 0 (None: 13 of 32, in proportion); `kernel`: tokens that a score is
    averaged over, as the authors have them. The paper runs its first pass over the whole prompt; a model with a window
    cannot, so here the pass goes window by window, each with the question behind it, and the best of all windows are
    kept: a token is scored by queries that have seen its own window only. The question and the chat template always
    stay, and a text that fits the window is read as it is. Where `top_k` tokens do not fit the window, as many as do
    are kept.

    The layer that serves best is a matter of the model; of farspan-tiny none does. In its layers 2 and 3 two of four
    heads score the needle's best token first of 900, but the others, which have nothing to look for, score other tokens
    as high, and in the sum over heads, which GemFilter takes, it comes 77th and 87th (medians of 30 texts). Of 40
    needles in texts of two windows the layers 1, 2 (None) and 3 find 14, 4 and 6.
    """
    return EarlyLayer(top_k, layer, kernel)
