"""Quotes: eight consecutive words of the context are given; the answer is the text that follows, word for word."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import fill
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="our own: no needle is planted, so any text will do",
)
COMPARED = 6
_WORD = re.compile(r"\S+")


def make(
    rng: random.Random, space: Space, *, turns: int = 1, given: tuple[int, int] = (8, 8), following: int = 12
) -> Sample:
    """Prose alone, and questions on passages at random depths whose given words (a range) occur once in it.

    An answer goes on to the end of a sentence after `following` words, or 12 words more; its first six are compared.
    """
    seed = rng.getrandbits(64)
    whole = _page(random.Random(seed), space, space.length, turns, given, following)
    return _page(random.Random(seed), space, space.room(whole.turns), turns, given, following)


def _page(rng: random.Random, space: Space, room: int, turns: int, given: tuple[int, int], following: int) -> Sample:
    prose = random.Random(rng.getrandbits(64))
    document = "".join(fill(prose, room, space.count, space.filler)).lstrip()
    drawn = draw(rng, document, turns=turns, given=given, following=following)
    return Sample((Segment(document),), tuple(_short(turn, space) for turn in drawn))


def _short(turn: Turn, space: Space) -> Turn:
    """Not more of the answer is generated than is compared, and a little."""
    words = turn.answer.split()[: COMPARED + 2]
    return replace(turn, max_new_tokens=space.count(" " + " ".join(words)) + 2)


def draw(
    rng: random.Random, document: str, *, turns: int, given: tuple[int, int] = (8, 8), following: int = 12
) -> tuple[Turn, ...]:
    """Questions on random passages of any document; fewer where it is too short or repeats itself."""
    spans = [match.span() for match in _WORD.finditer(document)]
    made: list[Turn] = []
    for _ in range(10 * turns):
        words = rng.randint(*given)
        room = len(spans) - words - following
        if len(made) == turns or room < 1:
            break
        at = rng.randrange(room)
        last = at + words + following - 1
        while last + 1 < min(len(spans), at + words + following + 12) and document[spans[last][1] - 1] not in ".!?":
            last += 1
        turn = ask(document, spans[at][0], spans[at + words - 1][1], spans[last][1])
        if turn is not None:
            made.append(turn)
    return tuple(made)


def ask(document: str, start: int, middle: int, end: int) -> Turn | None:
    """The question that gives `document[start:middle]`, answered up to `end`; None when its words are ambiguous."""
    quote = document[start:middle]
    if document.find(quote) != start or document.find(quote, start + 1) >= 0 or '"' in quote:
        return None
    return Turn(
        f'Continue the quote: "{quote}"',
        document[middle:end],
        scorer="opening",
        options={"words": COMPARED},
        evidence=(Span(0, start, end),),
    )
