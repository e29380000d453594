"""Needle among eight: eight sentences, each giving a number to a two-word key, hidden in prose; one is asked for."""

from __future__ import annotations

import random

from farspan.tasks import words
from farspan.tasks.base import Count, Filler, Question, Sample, compose, number


def make(
    rng: random.Random, *, length: int, count: Count, filler: Filler, needles: int = 8, questions: int = 1
) -> Sample:
    """`needles` facts with distinct keys (half of the time keys that share words), `questions` of them asked for."""
    draw = words.look_alikes if needles > 1 and rng.random() < 0.5 else words.keys
    names = draw(rng, needles)
    values = [number(rng) for _ in names]
    facts = [f" The number of the {name} is {value}." for name, value in zip(names, values, strict=True)]
    document, spans = compose(rng, facts, length=length, count=count, filler=filler)
    asked = rng.sample(range(needles), min(questions, needles))
    return Sample(
        document,
        tuple(Question(f"What is the number of the {names[i]}?", f" {values[i]}", (spans[i],)) for i in asked),
    )
