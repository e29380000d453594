"""Biographies: a dozen people with a town, a trade, a year and a friend each; one attribute of one person is asked."""

from __future__ import annotations

import random

from farspan.tasks import words
from farspan.tasks.base import Count, Filler, Question, Sample, compose

ATTRIBUTES = ("town", "trade", "birth year", "friend")


def make(
    rng: random.Random, *, length: int, count: Count, filler: Filler, people: int = 10, questions: int = 1
) -> Sample:
    """`people` with distinct names (some share a first or last name), each described in one run of four sentences."""
    names = _names(rng, people)
    values = [_values(rng, names) for _ in names]
    facts = [_sentences(name, value) for name, value in zip(names, values, strict=True)]
    document, spans = compose(rng, facts, length=length, count=count, filler=filler)
    pairs = [(person, attribute) for person in range(people) for attribute in ATTRIBUTES]
    asked = rng.sample(pairs, min(questions, len(pairs)))
    return Sample(
        document,
        tuple(
            Question(f"What is the {attribute} of {names[i]}?", f" {values[i][attribute]}", (spans[i],))
            for i, attribute in asked
        ),
    )


def _names(rng: random.Random, amount: int) -> list[str]:
    first, last = rng.sample(words.FIRST_NAMES, amount), rng.sample(words.LAST_NAMES, amount)
    return rng.sample([f"{one} {two}" for one in first[: amount // 2 + 1] for two in last[: amount // 2 + 1]], amount)


def _values(rng: random.Random, names: list[str]) -> dict[str, str]:
    friend = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
    values = (rng.choice(words.TOWNS), rng.choice(words.TRADES), str(rng.randint(1700, 1999)), friend)
    return dict(zip(ATTRIBUTES, values, strict=True))


def _sentences(name: str, values: dict[str, str]) -> str:
    return "".join(f" The {attribute} of {name} is {values[attribute]}." for attribute in ATTRIBUTES)
