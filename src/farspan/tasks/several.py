"""Several values: each key has three numbered entries, far apart; the answer lists the three in order."""

from __future__ import annotations

import random

from farspan.tasks import words
from farspan.tasks.base import Count, Filler, Question, Sample, compose, number

ORDINALS = ("one", "two", "three")


def make(
    rng: random.Random, *, length: int, count: Count, filler: Filler, owners: int = 4, questions: int = 1
) -> Sample:
    """`owners` keys with three entries each, all hidden at random depths; one question asks for one key's three."""
    names = words.keys(rng, owners)
    entries = [(name, ordinal, number(rng)) for name in names for ordinal in ORDINALS]
    rng.shuffle(entries)
    facts = [f" The {name} entry {ordinal} is {value}." for name, ordinal, value in entries]
    document, spans = compose(rng, facts, length=length, count=count, filler=filler)
    values = {(name, ordinal): value for name, ordinal, value in entries}
    questions_made = []
    for name in rng.sample(names, min(questions, owners)):
        listed = ";".join(f" {name} entry {ordinal} is {values[name, ordinal]}" for ordinal in ORDINALS)
        evidence = tuple(span for entry, span in zip(entries, spans, strict=True) if entry[0] == name)
        questions_made.append(Question(f"What are the three entries of the {name}?", listed, evidence))
    return Sample(document, tuple(questions_made))
