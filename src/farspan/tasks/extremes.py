"""Extremes: a long list of numbers from 0 to 99; its largest, smallest, median and the like are asked for.

Every sample has a range of its own, and its three largest and three smallest values stand once each, anywhere: a
window over a part of the list does not show them, and knowing the range of numbers does not guess them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="all",
    diffusion="computed",
    chance=0.02,
    source="InfiniteBench (Zhang et al. 2024), math find; SCBench (Li et al. 2024); extremes made rare and varied",
    presets={"shared_extremes": {"turns": 5}},
)
_QUESTIONS = (
    "largest",
    "smallest",
    "median",
    "second largest",
    "second smallest",
    "third largest",
    "third smallest",
)
_EDGE, _LOWEST, _HIGHEST = 3, 40, 60


def make(rng: random.Random, space: Space, *, rare: bool = True, turns: int = 1) -> Sample:
    """As many numbers as fit, an odd count of them; up to seven `turns` ask different questions in random order.

    rare: the three largest and the three smallest values stand once each; else as often as any other value.
    """
    seed = rng.getrandbits(64)
    asked = rng.sample(_QUESTIONS, min(turns, len(_QUESTIONS)))

    def build(units: int) -> Sample:
        return _page(numbers(random.Random(seed), 2 * units + 1, rare), asked)

    return stack(space, build, least=2 * _EDGE)


def numbers(rng: random.Random, amount: int, rare: bool) -> list[int]:
    """`amount` numbers from 0 to 99 over a range and a choice of values drawn by `rng`, some likelier than others."""
    low, high = rng.randint(0, _LOWEST), rng.randint(_HIGHEST, 99)
    inner = rng.sample(range(low + 1, high), (high - low) * 2 // 3)
    pool = sorted([low, high, *inner])
    edges = [*pool[:_EDGE], *pool[-_EDGE:]]
    drawn = pool[_EDGE:-_EDGE] if rare else pool
    weights = [rng.random() ** 2 for _ in drawn]
    listed = rng.choices(drawn, weights, k=amount)
    for place, value in zip(rng.sample(range(amount), len(edges)), edges, strict=True):
        listed[place] = value
    return listed


def answer(listed: Sequence[int], question: str) -> int:
    """What a question comes to; equal numbers count once but for the median."""
    values = sorted(set(listed))
    if question == "median":
        return sorted(listed)[len(listed) // 2]
    place = ("second", "third").index(question.split()[0]) + 1 if " " in question else 0
    return values[place] if question.endswith("smallest") else values[-1 - place]


def _page(listed: list[int], asked: Sequence[str]) -> Sample:
    page = Page()
    page.add(", ".join(map(str, listed)))
    turns = []
    for question in asked:
        note = "" if question == "median" else " Equal numbers count once."
        query = f"What is the {question} number of the list?{note}"
        turns.append(Turn(query, f" {answer(listed, question)}", scorer="first_int"))
    return page.sample(tuple(turns), numbers=len(listed))
