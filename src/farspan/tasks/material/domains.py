"""Domains of which tables tell: a main table of things, and an auxiliary one of the places where they are."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from farspan.tasks.kit import words

MOST_RELEVANT = 50
_PLACES = 6


class Thing(NamedTuple):
    """A row of the main table."""

    name: str
    kind: str
    place: str
    amount: int


class Place(NamedTuple):
    """A row of the auxiliary table."""

    place: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The words of a domain.

    thing, place: the sentences of a row. those: how all things of a kind are called. amount, where, region: the names
    of the columns. kinds, regions: their values. Places are the towns that all tasks use.
    """

    thing: str
    place: str
    those: str
    amount: str
    where: str
    region: str
    kinds: tuple[str, ...]
    regions: tuple[str, ...]


DOMAINS = (
    Domain(
        thing="The ship {name} carries {kind}, lies in {place} and has a crew of {amount}.",
        place="The harbour of {place} belongs to the {region}.",
        those="ships that carry {kind}",
        amount="crew",
        where="harbour",
        region="owner",
        kinds=tuple("salt coal barley timber sugar cotton marble copper herring olives hemp tar".split()),
        regions=("Crown", "Bishop", "Free Cities", "Northern Duke"),
    ),
    Domain(
        thing="The library of {place} keeps the {kind} {name}, {amount} pages long.",
        place="The library of {place} belongs to the {region}.",
        those="books of the sort {kind}",
        amount="pages",
        where="library",
        region="owner",
        kinds=tuple("novel atlas cookbook primer hymnal diary grammar almanac catalogue lexicon songbook".split()),
        regions=("university", "town council", "monastery", "reading club"),
    ),
    Domain(
        thing="At {place} the {name} farm grows {kind}, {amount} sacks a year.",
        place="The village of {place} lies in the district {region}.",
        those="farms that grow {kind}",
        amount="sacks",
        where="village",
        region="district",
        kinds=tuple("rye oats wheat lentils beets onions cabbage flax maize peas turnips".split()),
        regions=("Hills", "Marshes", "Lowlands", "Upper Valley"),
    ),
    Domain(
        thing="The {name} workshop in {place} makes {kind} and has sold {amount} pieces.",
        place="In {place} the market day is {region}.",
        those="workshops that make {kind}",
        amount="pieces",
        where="town",
        region="market day",
        kinds=tuple("barrels hats locks lutes ropes saws kettles brooms clogs quilts bricks".split()),
        regions=("Monday", "Wednesday", "Friday", "Saturday"),
    ),
)


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows of a domain: the relevant ones are of one kind and have distinct amounts; `rest` are of other kinds."""

    domain: Domain
    kind: str
    relevant: Sequence[Thing]
    rest: Sequence[Thing]
    places: Sequence[Place]

    def said(self, things: Iterable[Thing]) -> list[str]:
        """Rows of the main table as sentences."""
        return [self.domain.thing.format(**row._asdict()) for row in things]

    def placed(self) -> list[str]:
        """The rows of the auxiliary table as sentences."""
        return [self.domain.place.format(**row._asdict()) for row in self.places]


def draw(rng: random.Random, relevant: int, rest: int) -> Tables:
    """Tables with so many relevant and other rows; those that matter are the same for any number of others."""
    domain = rng.choice(DOMAINS)
    kind, *others = rng.sample(domain.kinds, len(domain.kinds))
    towns = rng.sample(words.TOWNS, _PLACES)
    places = [Place(town, rng.choice(domain.regions)) for town in towns]
    amounts = rng.sample(range(10, 1000), relevant)
    settled = [(rng.choice(towns), amount) for amount in amounts]
    names = words.keys(rng, relevant)
    found = [Thing(name.title(), kind, *row) for name, row in zip(names, settled, strict=True)]
    again = random.Random(rng.getrandbits(64))
    free = (name for name in words.keys(again, relevant + rest) if name not in names)
    beside = [
        Thing(name.title(), again.choice(others), again.choice(towns), again.randint(10, 999))
        for name in islice(free, rest)
    ]
    return Tables(domain, kind, found, beside, places)
