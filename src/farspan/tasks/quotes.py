"""Quotes: eight consecutive words of the prose are given; the answer is the text that follows, word for word."""

from __future__ import annotations

import random
import re

from farspan.tasks.base import Count, Filler, Question, Sample, fill

_WORD = re.compile(r"\S+")


def make(
    rng: random.Random,
    *,
    length: int,
    count: Count,
    filler: Filler,
    questions: int = 1,
    given: tuple[int, int] = (8, 8),
    following: int = 12,
) -> Sample:
    """Prose alone, and questions on passages at random depths whose given words (a range) occur once in it.

    An answer goes on to the end of a sentence after `following` words, or 12 words more.
    """
    document = "".join(fill(rng, length, count, filler)).lstrip()
    return Sample(document, draw(rng, document, questions=questions, given=given, following=following))


def draw(
    rng: random.Random, document: str, *, questions: int, given: tuple[int, int] = (8, 8), following: int = 12
) -> tuple[Question, ...]:
    """Questions on random passages of any document; fewer where it is too short or repeats itself."""
    spans = [match.span() for match in _WORD.finditer(document)]
    made: list[Question] = []
    for _ in range(10 * questions):
        words = rng.randint(*given)
        room = len(spans) - words - following
        if len(made) == questions or room < 1:
            break
        at = rng.randrange(room)
        last = at + words + following - 1
        while last + 1 < min(len(spans), at + words + following + 12) and document[spans[last][1] - 1] not in ".!?":
            last += 1
        question = ask(document, spans[at][0], spans[at + words - 1][1], spans[last][1])
        if question is not None:
            made.append(question)
    return tuple(made)


def ask(document: str, start: int, middle: int, end: int) -> Question | None:
    """The question that gives `document[start:middle]`, answered up to `end`; None when its words are ambiguous."""
    quote = document[start:middle]
    if document.find(quote) != start or document.find(quote, start + 1) >= 0 or '"' in quote:
        return None
    return Question(f'Continue the quote: "{quote}"', document[middle:end], ((start, end),))
