"""Prose to hide facts in: an endless synthetic kind that needs no file, and any text that is handed in."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Protocol

from farspan.errors import InputError
from farspan.tasks.kit import words

_PIECE = re.compile(r"\s+\S[^.!?]*[.!?]*\S*|\s*\S[^.!?]*[.!?]*\S*")
_VERBS = tuple(
    "watched followed painted carried found lost sold bought praised forgot remembered described crossed "
    "passed left reached visited repaired guarded washed opened closed measured borrowed avoided admired drew "
    "built counted kept".split()
)
_PLACES = tuple("behind beside near above below inside outside beyond under around before past toward against".split())
_TIMES = tuple(
    "in the morning|at noon|before dinner|after the rain|every summer|on Monday|last week|at night|once a year|"
    "without a word|for an hour|in great haste|by chance|as usual|with some care|in the dark|long ago".split("|")
)
_OPENINGS = tuple("Then|Later|Meanwhile|At last|Now and then|Perhaps|Even so|Some say|By then|For once".split("|"))


class Filler(Protocol):
    """Endless prose to hide facts in."""

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Pieces of a sentence or so, each beginning with white space, without end."""
        ...


class Synthetic:
    """Grammatical sentences over the tasks' own words; they give no numbers, so they never answer a question."""

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """Sentences without end."""
        while True:
            yield (" " if rng.random() < 0.9 else "\n") + _sentence(rng)


class Noise:
    """The same five sentences again and again, as in RULER's `noise` haystack but in our own words."""

    _SENTENCES = ("Snow is white.", "Coal is black.", "Rivers run to the sea.", "On it goes.", "And so once more.")

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """The sentences in their order, a line for every round."""
        while True:
            for number, sentence in enumerate(self._SENTENCES):
                yield (" " if number else "\n") + sentence


class Text:
    """A text of the user's, verbatim from a random place, from its start again when it ends.

    Raises InputError for a text without words.
    """

    def __init__(self, text: str) -> None:
        self._pieces = [piece for piece in _PIECE.findall(text) if piece.strip()]
        if not self._pieces:
            raise InputError("the filler text has no words", fix="give a file with text in it")

    def pieces(self, rng: random.Random) -> Iterator[str]:
        """The text's sentences in their order, without end."""
        at = rng.randrange(len(self._pieces))
        while True:
            piece = self._pieces[at]
            yield piece if piece[0].isspace() else " " + piece
            at = (at + 1) % len(self._pieces)


def _thing(rng: random.Random) -> str:
    return f"the {rng.choice(words.ADJECTIVES)} {rng.choice(words.NOUNS)}"


def _someone(rng: random.Random) -> str:
    shape = rng.randrange(3)
    if shape == 0:
        return rng.choice(words.FIRST_NAMES)
    return (
        f"the {rng.choice(words.TRADES)}"
        if shape == 1
        else f"the {rng.choice(words.ADJECTIVES)} {rng.choice(words.TRADES)}"
    )


def _sentence(rng: random.Random) -> str:
    parts = [_someone(rng), rng.choice(_VERBS), _thing(rng)]
    if rng.random() < 0.6:
        parts += [rng.choice(_PLACES), _thing(rng)]
    if rng.random() < 0.5:
        parts.append(rng.choice(_TIMES))
    if rng.random() < 0.3:
        parts += ["and", rng.choice(_VERBS), _thing(rng)]
    sentence = " ".join(parts)
    if rng.random() < 0.25:
        return f"{rng.choice(_OPENINGS)} {sentence}."
    return sentence[0].upper() + sentence[1:] + "."
