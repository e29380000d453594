"""People of a made-up town book: names, four attributes each, and the sentences that state them in three styles."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from farspan.tasks.kit import words

TOWN, TRADE, YEAR, FRIEND = ATTRIBUTES = ("town", "trade", "birth year", "friend")
_PARAPHRASES: Mapping[str, tuple[str, ...]] = {
    TOWN: (
        "{name} has a house in {value}.",
        "If you look for {name}, go to {value}.",
        "{value} is where {name} lives.",
        "For years {name} has not moved away from {value}.",
        "Letters to {name} are sent to {value}.",
        "Among those who live in {value} is {name}.",
    ),
    TRADE: (
        "{name} earns a living as a {value}.",
        "By profession {name} is a {value}.",
        "Those who need a {value} often ask for {name}.",
        "{name} was taught the work of a {value} and does it still.",
        "On the door of {name} it says {value}.",
        "As a {value}, {name} rises early.",
    ),
    YEAR: (
        "{name} came into the world in {value}.",
        "In {value} {name} was born.",
        "The parents of {name} had their child in {value}.",
        "{value} was the year in which {name} first saw the light.",
        "The church book has {name} as a newborn in {value}.",
        "The life of {name} began in {value}.",
    ),
    FRIEND: (
        "{name} trusts nobody as much as {value}.",
        "Nobody is closer to {name} than {value}.",
        "{name} has long counted on {value}.",
        "{name} spends every holiday with {value}.",
        "In need {name} turns to {value}.",
        "With {value} at the table {name} is happy.",
    ),
}
_OWN_WORDS: Mapping[str, tuple[str, ...]] = {
    TOWN: ("My house is in {value}.", "I live in {value}.", "You find me in {value}."),
    TRADE: ("I work as a {value}.", "By profession I am a {value}.", "I earn my bread as a {value}."),
    YEAR: ("I was born in {value}.", "My life began in {value}.", "I came into the world in {value}."),
    FRIEND: ("My friend is {value}.", "I trust nobody as much as {value}.", "Nobody is closer to me than {value}."),
}
Style = Callable[[random.Random, "Person"], str]


@dataclass(slots=True)
class Person:
    """Someone of whom a biography tells.

    values: the true attributes. said: what the biography says of each; an attribute that it leaves out is not there.
    """

    name: str
    values: dict[str, str]
    said: dict[str, str]


def draw(rng: random.Random, amount: int) -> list[Person]:
    """`amount` people with distinct names; many share a first or last name while there are few."""
    names = _names(rng, amount) if amount <= len(words.LAST_NAMES) else words.people(rng, amount)
    drawn = [_values(rng) for _ in names]
    return [Person(name, values, dict(values)) for name, values in zip(names, drawn, strict=True)]


def plain(rng: random.Random, person: Person) -> str:
    """`The town of Ada Reed is Selby.` and so on, always in this order and in these words."""
    return "".join(f" The {attribute} of {person.name} is {value}." for attribute, value in _told(person))


def paraphrased(rng: random.Random, person: Person) -> str:
    """The same said in one of several ways, in any order."""
    return _shuffled(rng, person, _PARAPHRASES)


def own_words(rng: random.Random, person: Person) -> str:
    """The name once, then all in the first person, in any order."""
    return f" This is {person.name} speaking." + _shuffled(rng, person, _OWN_WORDS)


def stating(people: Sequence[Person], attribute: str) -> dict[str, None]:
    """The distinct values of an attribute that are stated, in order."""
    return {one.values[attribute]: None for one in people if attribute in one.said}


def _told(person: Person) -> list[tuple[str, str]]:
    return [(attribute, person.said[attribute]) for attribute in ATTRIBUTES if attribute in person.said]


def _shuffled(rng: random.Random, person: Person, shapes: Mapping[str, tuple[str, ...]]) -> str:
    told = _told(person)
    rng.shuffle(told)
    return "".join(
        " " + rng.choice(shapes[attribute]).format(name=person.name, value=value) for attribute, value in told
    )


def _names(rng: random.Random, amount: int) -> list[str]:
    first, last = rng.sample(words.FIRST_NAMES, amount), rng.sample(words.LAST_NAMES, amount)
    return rng.sample([f"{one} {two}" for one in first[: amount // 2 + 1] for two in last[: amount // 2 + 1]], amount)


def _values(rng: random.Random) -> dict[str, str]:
    friend = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
    values = (rng.choice(words.TOWNS), rng.choice(words.TRADES), str(rng.randint(1700, 1999)), friend)
    return dict(zip(ATTRIBUTES, values, strict=True))
