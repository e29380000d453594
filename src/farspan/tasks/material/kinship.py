"""Families in which everyone but the eldest has one known forebear, told in shuffled sentences."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import NamedTuple

_RELATIONS = (
    ("father", 1),
    ("mother", 1),
    ("dad", 1),
    ("mum", 1),
    ("grandfather", 2),
    ("grandmother", 2),
    ("grandpa", 2),
    ("grandma", 2),
)
_SENTENCES = (
    "{upper} is the {relation} of {lower}.",
    "The {relation} of {lower} is {upper}.",
    "{lower} has {upper} as {relation}.",
    "{upper}, the {relation} of {lower}, keeps bees.",
    "As the {relation} of {lower}, {upper} is proud.",
    "To {lower}, {upper} is both {relation} and friend.",
    "In {upper}, {lower} has a patient {relation}.",
)


class Family(NamedTuple):
    """Names from the eldest down, and how many generations lie above each of them."""

    names: tuple[str, ...]
    generations: tuple[int, ...]
    told: tuple[str, ...]
    """One sentence for each link, in the order of the names."""

    def above(self, lower: int, upper: int) -> int:
        """How many generations the name at place `upper` stands above the one at place `lower`."""
        return self.generations[lower] - self.generations[upper]

    def walk(self, start: int, end: int) -> str:
        """The names from one place to another, each with its distance in generations from the first."""
        step = 1 if end >= start else -1
        steps = [self.names[start]]
        for at in range(start + step, end + step, step):
            steps.append(f"{self.names[at]} ({abs(self.above(at, start))})")
        return ", ".join(steps)


def draw(rng: random.Random, names: list[str]) -> Family:
    """A family of these names, with relations and sentences of their own."""
    generations, told = [0], []
    for upper, lower in pairwise(names):
        relation, amount = rng.choice(_RELATIONS)
        generations.append(generations[-1] + amount)
        told.append(rng.choice(_SENTENCES).format(upper=upper, lower=lower, relation=relation))
    return Family(tuple(names), tuple(generations), tuple(told))
