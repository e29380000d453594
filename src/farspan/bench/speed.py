"""How fast methods read and write at a length, beside full attention that holds everything in memory.

Both have read the same text and take turns, so that whatever else the machine does hits both alike; what counts is the
ratio of their medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from statistics import median

from farspan.bench.clock import in_turns, seconds_of
from farspan.bench.text import generated_text
from farspan.engine import Model, Session
from farspan.methods import Method
from farspan.types import Budget

BASELINE = "full"
READ_TOKENS, NEW_TOKENS = 512, 32
_AT_ONCE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of a method that has read `tokens` tokens.

    `read_per_s` tokens a second of the next `READ_TOKENS` that are read, `written_per_s` of the next `NEW_TOKENS` of an
    answer; `read_ratio` and `written_ratio` how much faster that is than full attention; `kv_bytes` in memory.
    """

    method: str
    tokens: int
    read_per_s: float
    read_ratio: float
    written_per_s: float
    written_ratio: float
    kv_bytes: int


def speeds(
    model: Model, methods: Sequence[Method | str], budget: Budget | str | None, tokens: int, *, rounds: int = 3
) -> Iterator[Speed]:
    """A few methods after the other, all with the same budget, in turns with full attention without limits."""
    ids = chain.from_iterable(piece.ids for piece in model.encoder.stream(generated_text()))
    text, more = list(islice(ids, tokens)), list(islice(ids, READ_TOKENS))
    with model.session(BASELINE) as baseline:
        baseline.read(text)
        for start in range(0, len(methods), _AT_ONCE):
            with ExitStack() as opened:
                sessions = [
                    opened.enter_context(model.session(method, budget)) for method in methods[start : start + _AT_ONCE]
                ]
                for session in sessions:
                    session.read(text)
                yield from _compared(baseline, sessions, more, rounds)


def _compared(baseline: Session, sessions: list[Session], more: Sequence[int], rounds: int) -> Iterator[Speed]:
    turns = in_turns([partial(_seconds, session, more) for session in (baseline, *sessions)], rounds)
    (full_read_s, full_written_s), *medians = (
        tuple(map(median, zip(*taken, strict=True))) for taken in zip(*turns, strict=True)
    )
    for session, (read_s, written_s) in zip(sessions, medians, strict=True):
        yield Speed(
            method=str(session.method),
            tokens=session.counts.seen,
            read_per_s=round(len(more) / read_s, 1),
            read_ratio=round(full_read_s / read_s, 2),
            written_per_s=round(NEW_TOKENS / written_s, 1),
            written_ratio=round(full_written_s / written_s, 2),
            kv_bytes=session.counts.kv_bytes["device"],
        )


def _seconds(session: Session, more: Sequence[int]) -> tuple[float, float]:
    """What reading on takes, and what writing takes, each on a fork so that the session stays as long as it is."""
    device = session.model.hosted.device
    with session.fork() as fork:
        read_s = seconds_of(lambda: fork.read(more), device)
    with session.fork() as fork:
        answer = fork.generate(more[:1], max_new_tokens=NEW_TOKENS + 1, ignore_eos=True)
        written_s = seconds_of(lambda: answer.ids, device)
        assert len(answer.ids) == NEW_TOKENS + 1
    return read_s, written_s
