"""XL3M (Wang et al. 2024): answer from the segments that make the model most certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farspan.engine import Model
from farspan.readers.kit.question import Question
from farspan.readers.kit.reader import Strategy, reader
from farspan.readers.kit.text import Range, ReadText, length

_USUAL_SEGMENT = 512
_LEAST_SEGMENTS = 4


@dataclass(frozen=True, slots=True)
class MostCertain:
    """The segments with the lowest entropy of the next token behind segment and question."""

    segment: int | None
    top_k: int | None

    @property
    def as_it_stands(self) -> bool:
        """A text that fits is told whole."""
        return True

    def resolve(self, model: Model) -> MostCertain:
        """Nothing hangs on the model."""
        return self

    def choose(self, text: ReadText, question: Question) -> Sequence[Sequence[Range]]:
        """The most certain segments that fit, in their order; the whole where it fits."""
        if text.tokens <= question.room:
            return [text.whole]
        size = self.segment or max(1, min(_USUAL_SEGMENT, question.room // _LEAST_SEGMENTS))
        segments = list(text.windows(min(size, question.room)))
        entropies = [question.entropy(text.ids([segment])) for segment in segments]
        kept: list[Range] = []
        for _, segment in sorted(zip(entropies, segments, strict=True)):
            if len(kept) == self.top_k or length([*kept, segment]) > question.room:
                break
            kept.append(segment)
        return [sorted(kept)]


@reader(paper="Wang et al. 2024, XL3M: A Training-free Framework for LLM Length Extension (arXiv 2405.17755)")
def xl3m(*, segment: int | None = None, top_k: int | None = None) -> Strategy:
    """Cut the text into segments, put the question behind each, and take the entropy of the next token for how much a
    segment has to do with it; the answer is given from the most certain segments, in their order.

    `segment`: tokens in a segment (None: 512, or a quarter of the room for text where that is less). `top_k`: how many
    segments are kept at most (None: as many as fit the window). Both defaults are farspan's own, and its segments stand
    apart, without overlap.
    """
    return MostCertain(segment, top_k)
