"""Induction: inputs and outputs of a hidden function, as many as fit; the output of an input not shown is asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material import functions
from farspan.tasks.material.functions import Function, Value

CARD = Card(
    scope="all",
    diffusion="computed",
    source="MIR-Bench (Yan et al. 2025), many-shot induction; functions of our own, chains of small operations",
    version=2,
    presets={
        "mir_easy": {"depth": 1},
        "mir_hard": {"depth": 4},
        "mir_noisy": {"depth": 2, "noise": 0.25, "told": True},
    },
)
_FEWEST = 4


def make(
    rng: random.Random,
    space: Space,
    *,
    depth: int = 2,
    shots: int = 0,
    noise: float = 0.0,
    told: bool = False,
    turns: int = 1,
) -> Sample:
    """A function of `depth` steps (1 to 4), `shots` examples of it (0: as many as fit), `turns` inputs to be answered.

    noise: the share of examples whose output is wrong in one place. told: the question says that there are such.
    No two inputs are alike. Raises UsageError for a depth, a number of examples or a share that cannot be.
    """
    if not 1 <= depth <= functions.DEEPEST:
        raise UsageError(f"a function of {depth} steps cannot be drawn", fix=f"1 to {functions.DEEPEST}")
    if not 0 <= noise <= 1 or (shots and shots < _FEWEST):
        raise UsageError(f"induction cannot be of {shots} examples with {noise} of them wrong", fix="4 or more; 0 to 1")
    function = functions.draw(rng, depth)
    seen: set[Value] = set()
    asked = [_example(rng, function, seen) for _ in range(turns)]
    turn = tuple(_turn(function, given, result, told) for given, result in asked)
    endless, drawn = _shots(rng, function, noise, seen), list[tuple[str, bool]]()

    def build(units: int) -> Sample:
        drawn.extend(islice(endless, max(0, units - len(drawn))))
        page = Page()
        page.add("\n\n".join(text for text, _ in drawn[:units]))
        wrong = sum(is_wrong for _, is_wrong in drawn[:units])
        return page.sample(turn, depth=depth, shots=units, wrong=wrong, rule=function.described())

    return stack(space, build, least=shots or _FEWEST, most=shots or None)


def _shots(rng: random.Random, function: Function, noise: float, seen: set[Value]) -> Iterator[tuple[str, bool]]:
    """Examples without end, as they are written, and whether each is wrong."""
    while True:
        given, result = _example(rng, function, seen)
        is_wrong = rng.random() < noise
        result = functions.corrupted(rng, result, function.target) if is_wrong else result
        yield _shot(function, given) + functions.shown(result, function.target), is_wrong


def _example(rng: random.Random, function: Function, seen: set[Value]) -> tuple[Value, Value]:
    """An input that was not drawn before, and its output."""
    while True:
        given = functions.an_input(rng, function.source)
        trace = function.trace(given)
        if given not in seen and trace is not None:
            seen.add(given)
            return given, trace[-1]


def _shot(function: Function, given: Value) -> str:
    return f"Input: {functions.shown(given, function.source)}\nOutput: "


def _turn(function: Function, given: Value, result: Value, told: bool) -> Turn:
    doubt = " Some of the outputs shown are wrong." if told else ""
    options = {"compact": True, "lead": "output"}
    query = f"What output does the same function give for this input?{doubt} Answer with the output alone."
    answer = functions.shown(result, function.target)
    return Turn(f"{query}\n{_shot(function, given).rstrip()}", f" {answer}", (answer,), "exact", options)
