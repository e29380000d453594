"""Just Read Twice (Arora et al. 2024): the text and the question, and both again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from farspan.engine import Model
from farspan.errors import InputError
from farspan.readers.kit.question import Question
from farspan.readers.kit.reader import Strategy, reader
from farspan.readers.kit.text import Range, ReadText


@dataclass(frozen=True, slots=True)
class Twice:
    """Two times the text, each with the question behind it."""

    @property
    def as_it_stands(self) -> bool:
        """It is told twice where that fits."""
        return False

    def resolve(self, model: Model) -> Twice:
        """Nothing hangs on the model."""
        return self

    def choose(self, text: ReadText, question: Question) -> Sequence[Sequence[Range]]:
        """All, twice where that fits, else once. Raises InputError for a text that does not fit once."""
        if text.tokens > question.room:
            raise InputError(
                f"read_twice needs the whole text in the window: {text.tokens:,} tokens, and {question.room:,} fit",
                fix="choose a method that reads any length, such as xl3m or topk",
            )
        again = text.tokens + len(question.ids) + 2 * len(question.model.template.gap)
        return [text.whole] * (2 if text.tokens + again <= question.room else 1)


@reader(paper="Arora et al. 2024, Just Read Twice: Closing the Recall Gap for Recurrent Language Models (2407.05483)")
def read_twice() -> Strategy:
    """Put the text before the model twice, with the question behind it each time (JRT-Prompt), so that the second
    reading knows what is asked; only where both readings fit the window, and once where one does.

    What is told twice is not what full attention to the text is given, and such an answer does not count as `exact`.
    The paper does so for recurrent models, which choose what to keep as they read. A text that does not fit once is
    refused: this reader chooses nothing, so it can leave nothing out.
    """
    return Twice()
