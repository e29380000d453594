"""Contenders that take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from statistics import median
from typing import NamedTuple, Protocol

from farspan.bench.clock import in_turns
from farspan.bench.costs import Costs, Machine
from farspan.errors import FarspanError
from farspan.types import format_count

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
    """Something that has read `tokens` tokens and can go on; a number of its keys and values has `item_bytes`.

    When one that `is_peer` fails, the others go on.
    """

    name: str
    tokens: int
    item_bytes: int
    is_peer: bool

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """Rows of those that could take all turns; why each of the others could not; and what ended the race early."""

    rows: list[Row]
    lost: dict[str, str]
    failure: BaseException | None


def race(job: Job, contenders: Sequence[Contender], rounds: int, costs: Costs, machine: Machine) -> Raced:
    """Let them take turns for some rounds, after one that warms up.

    When a peer fails, the others go on. When farspan does, or Ctrl-C comes, what counts is the rounds that were made.
    """
    lost: dict[int, str] = {}
    made: list[list[Turn | None]] = []
    failure = None
    try:
        for turns in in_turns([partial(_turn, job, contender, lost) for contender in contenders], rounds):
            made.append(turns)
    except (Exception, KeyboardInterrupt) as error:
        failure = error
    first: dict[int, float] = {}
    shortest: dict[str, float] = {}
    rows = []
    for contender, own in zip(contenders, zip(*made, strict=True), strict=bool(made)):
        taken = [turn for turn in own if turn is not None]
        if id(contender) in lost:
            continue
        seconds = median(turn.seconds / turn.tokens for turn in taken)
        least = job.least_s(costs, machine, contender, taken[-1])
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
    return Raced(rows=rows, lost=_by_name(contenders, lost), failure=failure)


def _turn(job: Job, contender: Contender, lost: dict[int, str]) -> Turn | None:
    """A turn; None for a peer that fails, and from then on."""
    if id(contender) in lost:
        return None
    try:
        return job.turn(contender)
    except Exception as error:
        if not contender.is_peer:
            raise
        lost[id(contender)] = reason(error)
        return None


def _by_name(contenders: Sequence[Contender], lost: dict[int, str]) -> dict[str, str]:
    return {
        each.name: f"after {format_count(each.tokens)} tokens: {lost[id(each)]}"
        for each in contenders
        if id(each) in lost
    }


def reason(error: Exception) -> str:
    """What went wrong, on one line."""
    return str(error) if isinstance(error, FarspanError) else f"{type(error).__name__}: {error}"


def piece(ids: Sequence[int]) -> list[int]:
    """So many tokens as are read in a turn; those of a shorter text again and again."""
    return list(islice(cycle(ids), PIECE))
