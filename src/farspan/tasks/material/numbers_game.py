"""Countdown's search: two of the numbers are replaced by a result until one is left, depth first, pair by pair."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

LARGEST = 2000
_NUMBERS, _TARGETS = range(1, 41), range(10, 51)


@dataclass(frozen=True, slots=True)
class Problem:
    """Four numbers and a target; `search` is written out as lines, `solution` is the three equations it ends in."""

    numbers: tuple[int, ...]
    target: int
    search: str
    solution: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A line of the search: the equations up to here, and the numbers that are left."""

    equations: tuple[str, ...]
    left: tuple[int, ...]


def steps(numbers: Sequence[int], equations: tuple[str, ...] = ()) -> Iterator[Step]:
    """All steps of the search in their order: + - * / on every pair, the larger number first.

    Results below 1, above 2000 or with a fraction are passed over.
    """
    for one, two in combinations(range(len(numbers)), 2):
        high, low = max(numbers[one], numbers[two]), min(numbers[one], numbers[two])
        rest = tuple(number for i, number in enumerate(numbers) if i not in (one, two))
        for sign, result in _results(high, low):
            step = Step((*equations, f"{high} {sign} {low} = {result}"), (result, *rest))
            yield step
            yield from steps(step.left, step.equations)


def draw(rng: random.Random, least: int, most: int) -> Problem:
    """A problem that the search solves after `least` to `most` lines; no search is longer than 1,464 lines."""
    while True:
        numbers = tuple(rng.choice(_NUMBERS) for _ in range(4))
        walked = list(islice(steps(numbers), most))
        first: dict[int, int] = {}
        for place, step in enumerate(walked, 1):
            if len(step.left) == 1:
                first.setdefault(step.left[0], place)
        targets = [target for target, place in first.items() if target in _TARGETS and place >= least]
        if targets:
            target = rng.choice(targets)
            return _problem(numbers, target, walked[: first[target]])


def _problem(numbers: tuple[int, ...], target: int, walked: Sequence[Step]) -> Problem:
    lines = [f"Search from {' '.join(map(str, numbers))} for {target}:"]
    for step in walked:
        found = "yes" if step.left == (target,) else "no"
        after = found if len(step.left) == 1 else f"leaving {' '.join(map(str, step.left))}"
        lines.append(f"{' ' * len(step.equations)}{step.equations[-1]}, {after}")
    return Problem(numbers, target, "\n".join(lines), walked[-1].equations)


def _results(high: int, low: int) -> Iterator[tuple[str, int]]:
    if high + low <= LARGEST:
        yield "+", high + low
    if high > low:
        yield "-", high - low
    if high * low <= LARGEST:
        yield "*", high * low
    if high % low == 0:
        yield "/", high // low
