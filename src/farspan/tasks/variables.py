"""Variable chains: `Let silver = amber.` and `Let amber = 48213.`; the answer spells the chain out to its number."""

from __future__ import annotations

import random
from itertools import pairwise

from farspan.tasks import words
from farspan.tasks.base import Count, Filler, Question, Sample, compose, number

HOPS = 3


def make(
    rng: random.Random, *, length: int, count: Count, filler: Filler, chains: int = 6, questions: int = 1
) -> Sample:
    """`chains` chains of HOPS names and a number; their lines are shuffled together, each name is given one value."""
    names = rng.sample(words.ADJECTIVES, chains * HOPS)
    lines: list[tuple[int, str]] = []
    answers: list[tuple[str, str]] = []
    for chain in range(chains):
        links = [*names[chain * HOPS : (chain + 1) * HOPS], number(rng)]
        lines += [(chain, f" Let {left} = {right}.") for left, right in pairwise(links)]
        answers.append((links[0], " " + " = ".join(links)))
    rng.shuffle(lines)
    document, spans = compose(rng, [line for _, line in lines], length=length, count=count, filler=filler)
    evidence = [
        tuple(span for (owner, _), span in zip(lines, spans, strict=True) if owner == chain) for chain in range(chains)
    ]
    asked = rng.sample(range(chains), min(questions, chains))
    return Sample(
        document, tuple(Question(f"What is the chain of {answers[i][0]}?", answers[i][1], evidence[i]) for i in asked)
    )
