"""Short articles on places that do not exist, many of them near-duplicates, and questions on what they say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from farspan.tasks.kit import words

KINDS = tuple(
    "museum library theatre hospital school observatory brewery gallery bakery mill hotel archive academy palace "
    "castle court abbey college".split()
)
TOLD = 5
_LEADS = (
    "{name} is {adjective} {kind}.",
    "{name} is the {kind} that the town speaks of.",
    "{name}, {adjective} {kind}, has its own story.",
    "Many know {name}, {adjective} {kind}.",
)


class Place(NamedTuple):
    """What an article is about: named after a person, of a kind, in a town."""

    first: str
    last: str
    kind: str
    town: str

    @property
    def name(self) -> str:
        """Such as `the Ada Barlow Museum of Alden`."""
        return f"the {self.first} {self.last} {self.kind.capitalize()} of {self.town}"


class Attribute(NamedTuple):
    """Something that articles tell: the question for it, ways to tell it, and what its values are."""

    question: str
    tellings: tuple[str, str]
    values: str

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.values != "person"

    def draw(self, rng: random.Random) -> str:
        """A value."""
        if self.values == "person":
            return f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
        return str(rng.randint(1700, 1989) if self.values == "year" else rng.randint(101, 999))


ATTRIBUTES = (
    Attribute(
        "In which year was {name} opened?",
        ("{it} was opened in {value}.", "people have been let into {it} since {value}."),
        "year",
    ),
    Attribute(
        "In which year did a fire close {name}?",
        ("{it} was closed by a fire in {value}.", "a fire kept {it} shut for part of {value}."),
        "year",
    ),
    Attribute(
        "Who designed {name}?",
        ("{it} was designed by {value}.", "the plans of {it} came from {value}."),
        "person",
    ),
    Attribute(
        "Who paid for {name}?",
        ("{it} was paid for by {value}.", "{value} gave the money for {it}."),
        "person",
    ),
    Attribute(
        "Who leads {name}?",
        ("{it} is led by {value}.", "{value} is the head of {it}."),
        "person",
    ),
    Attribute(
        "How many rooms does {name} have?",
        ("{it} has {value} rooms.", "there are {value} rooms in {it}."),
        "amount",
    ),
    Attribute(
        "How many metres above the sea does {name} stand?",
        ("{it} stands {value} metres above the sea.", "the ground under {it} is {value} metres above the sea."),
        "amount",
    ),
    Attribute(
        "How many people work in {name}?",
        ("{it} employs {value} people.", "{value} people work in {it}."),
        "amount",
    ),
)


class Gold(NamedTuple):
    """An article that is asked about: the place, and the asked attributes, by their number, with their values there."""

    place: Place
    values: Mapping[int, str]

    def question(self, attribute: int) -> str:
        """What is asked."""
        return ATTRIBUTES[attribute].question.format(name=self.place.name)


class Gazette:
    """Draws places that differ, and articles on them; no other article shares an asked value of the same attribute."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._seen: set[Place] = set()
        self._taken: set[tuple[int, str]] = set()

    def gold(self, amount: int, *, numeric: bool = False) -> Gold:
        """An article to ask `amount` questions about (`TOLD` at the most), by numbers alone where that is wanted."""
        known = [number for number, one in enumerate(ATTRIBUTES) if one.numeric or not numeric]
        values = {attribute: self.value(attribute) for attribute in self._rng.sample(known, amount)}
        self._taken |= set(values.items())
        return Gold(self.place(), values)

    def place(self) -> Place:
        """A place that was not drawn before."""
        while True:
            drawn = Place(
                self._rng.choice(words.FIRST_NAMES),
                self._rng.choice(words.LAST_NAMES),
                self._rng.choice(KINDS),
                self._rng.choice(words.TOWNS),
            )
            if drawn not in self._seen:
                self._seen.add(drawn)
                return drawn

    def akin(self, place: Place) -> Place:
        """A new place that shares all but one part of its name with `place`."""
        changes: Sequence[tuple[str, Sequence[str]]] = (
            ("first", words.FIRST_NAMES),
            ("last", words.LAST_NAMES),
            ("kind", KINDS),
            ("town", words.TOWNS),
        )
        while True:
            part, pool = self._rng.choice(changes)
            drawn = place._replace(**{part: self._rng.choice(pool)})
            if drawn not in self._seen:
                self._seen.add(drawn)
                return drawn

    def article(self, place: Place, values: Mapping[int, str]) -> str:
        """An article that tells these values of attributes, and others that are drawn."""
        spare = self._rng.sample([i for i in range(len(ATTRIBUTES)) if i not in values], TOLD - len(values))
        told = [*values.items(), *((number, self.value(number)) for number in spare)]
        self._rng.shuffle(told)
        adjective = self._rng.choice(words.ADJECTIVES)
        adjective = f"an {adjective}" if adjective[0] in "aeiou" else f"a {adjective}"
        lead = self._rng.choice(_LEADS).format(name=place.name, kind=place.kind, adjective=adjective)
        sentences = [lead, *(self._told(number, value, place) for number, value in told)]
        return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)

    def articles(self) -> Iterator[str]:
        """Articles on places that were not drawn before, without end."""
        while True:
            yield self.article(self.place(), {})

    def contradiction(self, gold: Gold, attribute: int) -> str:
        """A sentence that gives another value to a place of nearly the same name, which no article is about."""
        telling = self._rng.choice(ATTRIBUTES[attribute].tellings)
        sentence = telling.format(it=self.akin(gold.place).name, value=self.value(attribute))
        return sentence[0].upper() + sentence[1:]

    def value(self, attribute: int) -> str:
        """A value that is not asked for."""
        while True:
            drawn = ATTRIBUTES[attribute].draw(self._rng)
            if (attribute, drawn) not in self._taken:
                return drawn

    def _told(self, attribute: int, value: str, place: Place) -> str:
        telling = self._rng.choice(ATTRIBUTES[attribute].tellings)
        short = telling.startswith("{it}") and self._rng.random() < 0.7
        return telling.format(it="it" if short else f"the {place.kind}", value=value)
