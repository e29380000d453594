"""A book of numbered facts that overwrite one another: gates have keepers, keepers live in towns, and both change."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from farspan.tasks.kit import words

_MOST_FACTS, _DECOYS = 9, 24


@dataclass(slots=True)
class Thing:
    """Something that has one value at a time. `places` are the numbers of the facts, from 0 on, that set it."""

    name: str
    values: list[str]
    revoked: bool
    places: list[int] = field(default_factory=list)

    @property
    def facts(self) -> int:
        """How many facts tell of it."""
        return len(self.values) + self.revoked

    def said(self, which: int) -> str:
        """Its fact of that number, from 0 on, as a sentence."""
        return f"The {self.name} is {self.values[which] if which < len(self.values) else 'no longer known'}."


@dataclass(frozen=True, slots=True)
class Book:
    """Who keeps each gate, and where each keeper lives; `facts` in their order."""

    keepers: Mapping[str, Thing]
    towns: Mapping[str, Thing]
    facts: Sequence[str]

    @property
    def standing(self) -> list[Thing]:
        """What has a value in the end."""
        return [thing for things in (self.keepers, self.towns) for thing in things.values() if not thing.revoked]

    @property
    def revoked(self) -> list[Thing]:
        """What was revoked in the end."""
        return [thing for things in (self.keepers, self.towns) for thing in things.values() if thing.revoked]

    def others(self, thing: Thing, value: str) -> tuple[str, ...]:
        """Some values that are not `value`: this thing's first, then those of its like."""
        alike = self.towns if thing.name.startswith("town") else self.keepers
        values = dict.fromkeys(thing.values)
        for other in alike.values():
            if len(values) > _DECOYS:
                break
            values.update(dict.fromkeys(other.values))
        return tuple(one for one in values if one != value)[:_DECOYS]


def draw(rng: random.Random, amount: int, revoked: float) -> Book:
    """A book of `amount` facts (8 or more), half of them about towns.

    `revoked` is the share of things that are revoked in the end, of those with two facts or more; whatever it is, the
    first gate and the first town stand and have changed, and the second ones are revoked unless it is 0.
    """
    sizes, gate_sizes = _sizes(rng, amount // 2), _sizes(rng, amount - amount // 2)
    people = words.people(rng, max(len(sizes), 2))
    ends = _ends(rng, sizes, revoked)
    homes = [
        _thing(rng, f"town of {person}", words.TOWNS, words.TOWNS, size, end)
        for person, size, end in zip(people, sizes, ends, strict=False)
    ]
    towns = dict(zip(people, homes, strict=False))
    housed = [person for person, home in towns.items() if not home.revoked]
    gates = [f"{key} gate" for key in words.keys(rng, len(gate_sizes))]
    keepers = {
        gate: _thing(rng, f"keeper of the {gate}", people, housed, size, end)
        for gate, size, end in zip(gates, gate_sizes, _ends(rng, gate_sizes, revoked), strict=True)
    }
    return Book(keepers, towns, _told(rng, [*keepers.values(), *towns.values()]))


def _told(rng: random.Random, things: Sequence[Thing]) -> list[str]:
    """All facts, shuffled but for those of one thing, and numbered from 1 on."""
    order = [thing for thing in things for _ in range(thing.facts)]
    rng.shuffle(order)
    facts = []
    for place, thing in enumerate(order):
        facts.append(f"{place + 1}. {thing.said(len(thing.places))}")
        thing.places.append(place)
    return facts


def _sizes(rng: random.Random, amount: int) -> list[int]:
    """Numbers of facts that sum up to `amount`: two of 2, then up to 9, small ones likelier."""
    sizes = [2, 2]
    left = amount - 4
    while left > 0:
        sizes.append(min(left, rng.randint(1, rng.randint(1, _MOST_FACTS))))
        left -= sizes[-1]
    return sizes


def _ends(rng: random.Random, sizes: Sequence[int], revoked: float) -> list[bool]:
    drawn = [rng.random() < revoked and size > 1 for size in sizes]
    return [False, revoked > 0, *drawn[2:]]


def _thing(rng: random.Random, name: str, pool: Sequence[str], last: Sequence[str], size: int, revoked: bool) -> Thing:
    """A thing with `size` facts, drawn from its last value back; no value follows itself."""
    values = [rng.choice(last)]
    while len(values) < size - revoked:
        value = rng.choice(pool)
        if value != values[-1]:
            values.append(value)
    return Thing(name, values[::-1], revoked)
