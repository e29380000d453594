"""What people tell an assistant of: things with a name or number, expenses, deeds and tastes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from farspan.tasks.kit import words

Draw = Callable[[random.Random], str]
"""Draws a value."""


def _code(rng: random.Random) -> str:
    return words.numbers(rng, 1)[0]


def _person(rng: random.Random) -> str:
    return words.people(rng, 1)[0]


def _town(rng: random.Random) -> str:
    return rng.choice(words.TOWNS)


TOPICS: tuple[tuple[str, str, Draw], ...] = (
    *(("What", topic, _code) for topic in ("locker code", "alarm code", "customer number", "bicycle lock code")),
    *(("What", topic, _code) for topic in ("account number", "meter number", "library card number", "ticket number")),
    *(("Who", topic, _person) for topic in ("landlord", "dentist", "piano teacher", "accountant", "chess partner")),
    *(("Who", topic, _person) for topic in ("running mate", "upstairs neighbour", "new colleague")),
    *(
        ("What", topic, _town)
        for topic in ("next concert town", "favourite town", "next holiday town", "workplace town")
    ),
)
"""What is asked for with Who or What, what it is called, and how a value of it is drawn."""
GOODS = ("seeds", "books", "candles", "theatre tickets", "bread", "paint", "tools", "train fares", "wool", "stamps")
"""What money is spent on."""
DEEDS = tuple(
    "sold the old boat|planted a cherry tree|repaired the roof|met the mayor|finished the blue quilt|"
    "lost the umbrella|won the chess cup|visited the lighthouse|bought a kite|baked a plum pie|"
    "painted the kitchen|wrote to the bank|learned to juggle|caught a trout|joined the choir|fixed the radio".split("|")
)
"""What is done once, without words such as `my` that a reply would turn."""
TASTES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "for supper": (
        ("anything that comes from the sea", "mussels"),
        ("anything made from milk", "cheese pie"),
        ("food so hot that it burns", "chilli curry"),
        ("nothing but raw vegetables", "carrot salad"),
    ),
    "to drink": (
        ("whatever keeps me awake", "espresso"),
        ("drinks made from fruit", "pear juice"),
        ("drinks that come from a cow", "buttermilk"),
        ("herbs in hot water", "peppermint tea"),
    ),
    "to see tonight": (
        ("watching people dance", "the ballet"),
        ("looking at the stars", "the observatory"),
        ("wild animals", "the zoo"),
        ("people who sing on a stage", "the opera"),
    ),
    "to travel to": (
        ("climbing as high as I can", "the Alps"),
        ("lying in warm sand", "the beach"),
        ("ruins of thousands of years ago", "the pyramids"),
        ("snow and sledges", "Lapland"),
    ),
    "as a present": (
        ("things to wear", "a woollen scarf"),
        ("things that grow", "a potted fern"),
        ("things that make music", "a harmonica"),
        ("things to read", "a detective novel"),
    ),
    "as a sport": (
        ("being in the water", "swimming"),
        ("aiming at a target", "archery"),
        ("sitting on a horse", "riding"),
        ("gliding over ice", "skating"),
    ),
    "to study": (
        ("numbers and proofs", "algebra"),
        ("the past of nations", "history"),
        ("plants and beasts", "biology"),
        ("foreign tongues", "Portuguese"),
    ),
}
"""By purpose: what may be liked, and the one thing of its purpose that fits."""
