"""Hidden functions: chains of small operations on lists, texts and numbers, run by an interpreter of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, NamedTuple

Value = tuple[int, ...] | str | int
LIST, TEXT, NUMBER = "list", "text", "number"
KINDS = (LIST, TEXT, NUMBER)
DEEPEST = 4
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOWELS = "aeiou"
_LARGEST, _LONGEST = 10**9, 16
_PROBES, _TRIES = 12, 400


class Operation(NamedTuple):
    """From a value of kind `source` to one of kind `target`; `apply(value, k)` with a k from `least` to `most`."""

    name: str
    source: str
    target: str
    apply: Callable[[Any, int], Any]
    least: int = 0
    most: int = 0


OPERATIONS = (
    Operation("reverse", LIST, LIST, lambda v, k: v[::-1]),
    Operation("sort", LIST, LIST, lambda v, k: tuple(sorted(v))),
    Operation("sort downwards", LIST, LIST, lambda v, k: tuple(sorted(v, reverse=True))),
    Operation("drop the first k", LIST, LIST, lambda v, k: v[k:], 1, 2),
    Operation("drop the last k", LIST, LIST, lambda v, k: v[:-k], 1, 2),
    Operation("rotate by k", LIST, LIST, lambda v, k: v[k % len(v) :] + v[: k % len(v)], 1, 3),
    Operation("every second", LIST, LIST, lambda v, k: v[::2]),
    Operation("add k to each", LIST, LIST, lambda v, k: tuple(x + k for x in v), 1, 9),
    Operation("k times each", LIST, LIST, lambda v, k: tuple(x * k for x in v), 2, 5),
    Operation("each modulo k", LIST, LIST, lambda v, k: tuple(x % k for x in v), 3, 9),
    Operation("those above k", LIST, LIST, lambda v, k: tuple(x for x in v if x > k), 3, 9),
    Operation("even ones", LIST, LIST, lambda v, k: tuple(x for x in v if x % 2 == 0)),
    Operation("odd ones", LIST, LIST, lambda v, k: tuple(x for x in v if x % 2)),
    Operation("running sums", LIST, LIST, lambda v, k: tuple(accumulate(v))),
    Operation("without repeats", LIST, LIST, lambda v, k: tuple(dict.fromkeys(v))),
    Operation("sum", LIST, NUMBER, lambda v, k: sum(v)),
    Operation("largest", LIST, NUMBER, lambda v, k: max(v)),
    Operation("smallest", LIST, NUMBER, lambda v, k: min(v)),
    Operation("first times last", LIST, NUMBER, lambda v, k: v[0] * v[-1]),
    Operation("largest less smallest", LIST, NUMBER, lambda v, k: max(v) - min(v)),
    Operation("reverse", TEXT, TEXT, lambda v, k: v[::-1]),
    Operation("sort", TEXT, TEXT, lambda v, k: "".join(sorted(v))),
    Operation("without vowels", TEXT, TEXT, lambda v, k: "".join(x for x in v if x not in _VOWELS)),
    Operation("drop the first k", TEXT, TEXT, lambda v, k: v[k:], 1, 2),
    Operation("drop the last k", TEXT, TEXT, lambda v, k: v[:-k], 1, 2),
    Operation("rotate by k", TEXT, TEXT, lambda v, k: v[k % len(v) :] + v[: k % len(v)], 1, 3),
    Operation("every second", TEXT, TEXT, lambda v, k: v[::2]),
    Operation("twice each letter", TEXT, TEXT, lambda v, k: "".join(x + x for x in v)),
    Operation("and back again", TEXT, TEXT, lambda v, k: v + v[::-1]),
    Operation(
        "k letters on", TEXT, TEXT, lambda v, k: "".join(_LETTERS[(_LETTERS.index(x) + k) % 26] for x in v), 1, 3
    ),
    Operation("without repeats", TEXT, TEXT, lambda v, k: "".join(dict.fromkeys(v))),
    Operation("places in the alphabet", TEXT, LIST, lambda v, k: tuple(_LETTERS.index(x) + 1 for x in v)),
    Operation("digits", NUMBER, LIST, lambda v, k: tuple(int(x) for x in str(abs(v)))),
    Operation("add k", NUMBER, NUMBER, lambda v, k: v + k, 2, 50),
    Operation("k times", NUMBER, NUMBER, lambda v, k: v * k, 2, 9),
    Operation("k less it", NUMBER, NUMBER, lambda v, k: k - v, 100, 999),
    Operation("digits backwards", NUMBER, NUMBER, lambda v, k: int(str(abs(v))[::-1])),
)
_FROM: Mapping[str, tuple[Operation, ...]] = {kind: tuple(o for o in OPERATIONS if o.source == kind) for kind in KINDS}


class Function(NamedTuple):
    """Operations with their k, one after another."""

    steps: tuple[tuple[Operation, int], ...]

    @property
    def source(self) -> str:
        """The kind of the input."""
        return self.steps[0][0].source

    @property
    def target(self) -> str:
        """The kind of the output."""
        return self.steps[-1][0].target

    def trace(self, value: Value) -> list[Value] | None:
        """The value and what each step makes of it; None where one is empty or too large."""
        values = [value]
        for operation, k in self.steps:
            values.append(operation.apply(values[-1], k))
            if not _is_sound(values[-1], operation.target):
                return None
        return values

    def described(self) -> str:
        """The steps in words."""
        return ", then ".join(f"{operation.name} (k={k})" if k else operation.name for operation, k in self.steps)


def draw(rng: random.Random, depth: int) -> Function:
    """A function of 1 to 4 steps, each of which matters, with sound and varied outputs on a few inputs tried."""
    assert 1 <= depth <= DEEPEST
    for _ in range(_TRIES):
        kind, steps = rng.choice(KINDS), []
        for _ in range(depth):
            operation = rng.choice(_FROM[kind])
            steps.append((operation, rng.randint(operation.least, operation.most)))
            kind = operation.target
        function = Function(tuple(steps))
        if _matters(function, [an_input(rng, function.source) for _ in range(_PROBES)]):
            return function
    raise AssertionError("no function was found")


def an_input(rng: random.Random, kind: str) -> Value:
    """A random input: 4 to 7 numbers below 30, 4 to 7 letters, or a number of 2 to 6 digits."""
    if kind == LIST:
        return tuple(rng.randrange(30) for _ in range(rng.randint(4, 7)))
    if kind == TEXT:
        return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(4, 7)))
    digits = rng.randint(2, 6)
    return rng.randrange(10 ** (digits - 1), 10**digits)


def corrupted(rng: random.Random, value: Value, kind: str) -> Value:
    """A value of the same kind with one number or letter changed."""
    values: Any = value
    if kind == NUMBER:
        return int(values) + rng.choice((-1, 1)) * rng.randint(1, 9)
    at = rng.randrange(len(values))
    if kind == LIST:
        return (*values[:at], values[at] + rng.choice((-1, 1)) * rng.randint(1, 9), *values[at + 1 :])
    other = rng.choice(_LETTERS.replace(values[at], ""))
    return f"{values[:at]}{other}{values[at + 1 :]}"


def shown(value: Value, kind: str) -> str:
    """A value as it is written in a context: `[1, 2]`, `abc`, `12`."""
    return str(list(value)) if kind == LIST else str(value)  # type: ignore[arg-type]


def _is_sound(value: Any, kind: str) -> bool:
    if kind == NUMBER:
        return bool(abs(value) <= _LARGEST)
    return 0 < len(value) <= _LONGEST


def _matters(function: Function, inputs: list[Value]) -> bool:
    """Whether all inputs give sound outputs, at least half of them different, and every step changes at least half."""
    traces = [function.trace(value) for value in inputs]
    sound = [trace for trace in traces if trace is not None]
    if len(sound) < len(traces) or 2 * len({trace[-1] for trace in sound}) < len(sound):
        return False
    changed = [sum(trace[i] != trace[i + 1] for trace in sound) for i in range(len(function.steps))]
    whole = sum(trace[0] != trace[-1] for trace in sound)
    return 2 * min(*changed, whole) >= len(sound)
