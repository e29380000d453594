"""Key-value: lines `amber castle: 48213`, as many as fit (about a hundred in 1,000 tokens), with no prose between."""

from __future__ import annotations

import random
from collections.abc import Callable

from farspan.tasks import words
from farspan.tasks.base import Count, Filler, Question, Sample, compose, number

MOST = 10_000


def make(rng: random.Random, *, length: int, count: Count, filler: Filler, questions: int = 1) -> Sample:
    """Up to MOST pairs of two-word keys and numbers; what they do not fill, prose does."""
    return lines(rng, words.key, length=length, count=count, filler=filler, questions=questions)


def lines(
    rng: random.Random,
    draw: Callable[[random.Random], str],
    *,
    length: int,
    count: Count,
    filler: Filler,
    questions: int,
) -> Sample:
    """A document of `key: number` lines with distinct keys from `draw`, and questions for their values."""
    pairs: dict[str, str] = {}
    facts: list[str] = []
    room = length
    while len(pairs) < MOST:
        name, value = draw(rng), number(rng)
        if name in pairs:
            continue
        fact = f"\n{name}: {value}"
        room -= count(fact)
        if room < 0:
            break
        pairs[name] = value
        facts.append(fact)
    document, spans = compose(rng, facts, length=length, count=count, filler=filler)
    asked = rng.sample(range(len(facts)), min(questions, len(facts)))
    names = list(pairs)
    return Sample(
        document,
        tuple(Question(f"What is the value of {names[i]}?", f" {pairs[names[i]]}", (spans[i],)) for i in asked),
    )
