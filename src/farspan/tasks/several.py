"""Several values: each key has three numbered entries, far apart; the answer lists the three in order."""

from __future__ import annotations

import random

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="several facts",
    diffusion="scattered",
    source="our own, after RULER's multivalue needles, with the order asked for",
)
ORDINALS = ("one", "two", "three")


def make(rng: random.Random, space: Space, *, owners: int = 4, turns: int = 1) -> Sample:
    """`owners` keys with three entries each, all hidden at random depths; one question asks for one key's three."""
    names = words.keys(rng, owners)
    drawn = iter(words.numbers(rng, 3 * owners))
    entries = [(name, ordinal, next(drawn)) for name in names for ordinal in ORDINALS]
    rng.shuffle(entries)
    facts = [f" The {name} entry {ordinal} is {value}." for name, ordinal, value in entries]
    values = {(name, ordinal): value for name, ordinal, value in entries}
    asked: list[Asked] = []
    for name in rng.sample(names, min(turns, owners)):
        listed = ";".join(f" {name} entry {ordinal} is {values[name, ordinal]}" for ordinal in ORDINALS)
        found = [values[name, ordinal] for ordinal in ORDINALS]
        others = tuple(value for owner, _, value in entries if owner != name)
        turn = Turn(
            f"What are the three entries of the {name}?",
            listed,
            tuple(found),
            "all_substring",
            decoys=others,
        )
        asked.append((turn, [i for i, entry in enumerate(entries) if entry[0] == name]))
    return hide(rng, space, facts, asked)
