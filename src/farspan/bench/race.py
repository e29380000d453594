"""Contenders that take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import NamedTuple, Protocol

from farspan.bench.clock import in_turns
from farspan.bench.costs import Costs, Machine

GROUP, PIECE = 8, 512
"""Tokens that are written in a turn, and that are read in one."""


class Turn(NamedTuple):
    """Tokens that were read or written in so many seconds, and the keys that each attended to, on average.

    A token was written for so many `streams` at once, which share one read of the weights.
    """

    seconds: float
    tokens: int
    keys: float
    streams: int = 1


class Contender(Protocol):
    """Something that has read `tokens` tokens and can go on; a number of its keys and values has `item_bytes`."""

    name: str
    tokens: int
    item_bytes: int

    def write(self) -> Turn:
        """Take in the next `GROUP` tokens one after the other, as if it had written each of them."""
        ...

    def read_on(self) -> Turn:
        """Read the next `PIECE` tokens, and take them back."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """What contenders do in a turn, and the least seconds that a token can take them."""

    turn: Callable[[Contender], Turn]
    least_s: Callable[[Costs, Machine, Contender, Turn], float]


DECODE = Job(
    lambda contender: contender.write(),
    lambda costs, machine, contender, turn: costs.writing_s(machine, turn.keys, contender.item_bytes, turn.streams),
)
PREFILL = Job(
    lambda contender: contender.read_on(),
    lambda costs, machine, _, turn: costs.reading_s(machine, turn.keys),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One contender after `tokens` tokens: a token's milliseconds, and tokens a second, at the median of the rounds.

    `ratio` is how many times as long as the first contender at the same length it takes, `growth` as itself at its
    shortest length. `ceiling_ms` is the least that the machine allows, and `share` that over what it took.
    """

    name: str
    tokens: int
    ms: float
    tokens_per_s: float
    ratio: float
    growth: float
    ceiling_ms: float
    share: float


def race(job: Job, contenders: Sequence[Contender], rounds: int, costs: Costs, machine: Machine) -> list[Row]:
    """Let them take turns for some rounds, after one that warms up."""
    turns = in_turns([partial(job.turn, contender) for contender in contenders], rounds)
    first: dict[int, float] = {}
    shortest: dict[str, float] = {}
    rows = []
    for contender, own in zip(contenders, turns, strict=True):
        seconds = median(turn.seconds / turn.tokens for turn in own)
        least = job.least_s(costs, machine, contender, own[-1])
        rows.append(
            Row(
                name=contender.name,
                tokens=contender.tokens,
                ms=1e3 * seconds,
                tokens_per_s=1 / seconds,
                ratio=seconds / first.setdefault(contender.tokens, seconds),
                growth=seconds / shortest.setdefault(contender.name, seconds),
                ceiling_ms=1e3 * least,
                share=least / seconds,
            )
        )
    return rows
