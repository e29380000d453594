"""Small exercises, each with its right answer and a wrong one that looks like it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from farspan.tasks.kit import words

_DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
_CAPITALS = tuple(
    tuple(pair.split("/"))
    for pair in (
        "Austria/Vienna Belgium/Brussels Bulgaria/Sofia Canada/Ottawa Chile/Santiago Croatia/Zagreb Cuba/Havana "
        "Denmark/Copenhagen Egypt/Cairo Finland/Helsinki France/Paris Germany/Berlin Greece/Athens Hungary/Budapest "
        "Iraq/Baghdad Ireland/Dublin Italy/Rome Japan/Tokyo Kenya/Nairobi Norway/Oslo Peru/Lima Poland/Warsaw "
        "Portugal/Lisbon Russia/Moscow Spain/Madrid Sweden/Stockholm Thailand/Bangkok"
    ).split()
)


class Kind(NamedTuple):
    """A kind of exercise: what is to be done, and how a question, its right and a wrong answer are drawn."""

    instruction: str
    draw: Callable[[random.Random], tuple[str, str, str]]


class Exercise(NamedTuple):
    """A question with its right and a wrong answer."""

    kind: Kind
    question: str
    right: str
    wrong: str


def draw(rng: random.Random, kind: Kind) -> Exercise:
    """An exercise of a kind."""
    return Exercise(kind, *kind.draw(rng))


def _near(rng: random.Random, right: int) -> str:
    """A whole number near the right one, from 0 on."""
    off = rng.choice((1, 2, 10))
    return str(right - off if right >= off and rng.random() < 0.5 else right + off)


def _sum(rng: random.Random) -> tuple[str, str, str]:
    one, two = rng.randint(11, 99), rng.randint(11, 99)
    return f"{one} + {two}", str(one + two), _near(rng, one + two)


def _difference(rng: random.Random) -> tuple[str, str, str]:
    two, result = rng.randint(11, 99), rng.randint(2, 99)
    return f"{two + result} - {two}", str(result), _near(rng, result)


def _product(rng: random.Random) -> tuple[str, str, str]:
    one, two = rng.randint(3, 19), rng.randint(3, 9)
    return f"{one} * {two}", str(one * two), _near(rng, one * two)


def _sequence(rng: random.Random) -> tuple[str, str, str]:
    start, step = rng.randint(1, 60), rng.randint(2, 9)
    shown = ", ".join(str(start + i * step) for i in range(4))
    return shown, str(start + 4 * step), _near(rng, start + 4 * step)


def _larger(rng: random.Random) -> tuple[str, str, str]:
    low, high = sorted(rng.sample(range(100, 1000), 2))
    pair = [str(low), str(high)]
    rng.shuffle(pair)
    return " or ".join(pair), str(high), str(low)


def _letters(rng: random.Random) -> tuple[str, str, str]:
    word = rng.choice(words.ADJECTIVES + words.NOUNS)
    return word, str(len(word)), str(len(word) + rng.choice((-1, 1)))


def _first(rng: random.Random) -> tuple[str, str, str]:
    pair = rng.sample(words.NOUNS, 2)
    return " or ".join(pair), min(pair), max(pair)


def _day(rng: random.Random) -> tuple[str, str, str]:
    start, later = rng.randrange(7), rng.randint(2, 30)
    right = (start + later) % 7
    return f"{_DAYS[start]}, {later} days", _DAYS[right], _DAYS[(right + rng.choice((1, 6))) % 7]


def _capital(rng: random.Random) -> tuple[str, str, str]:
    (country, right), (_, other) = rng.sample(_CAPITALS, 2)
    return country, right, other


KINDS = (
    Kind("Add the numbers.", _sum),
    Kind("Take the second number from the first.", _difference),
    Kind("Multiply the numbers.", _product),
    Kind("Give the number that comes next.", _sequence),
    Kind("Give the larger number.", _larger),
    Kind("Count the letters of the word.", _letters),
    Kind("Give the word that comes first in a dictionary.", _first),
    Kind("Give the day of the week that many days later.", _day),
    Kind("Give the capital of the country.", _capital),
)
