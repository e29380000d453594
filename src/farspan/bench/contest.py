"""farspan beside transformers, llama.cpp and kvpress: who reads and writes how fast, on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from farspan.bench.contestants import Contestants, Peers
from farspan.bench.costs import Costs, Machine
from farspan.bench.peers.ours import Ours
from farspan.bench.profile import Part, parts
from farspan.bench.race import Contender, Job, Row, race
from farspan.engine import Model
from farspan.methods import Method
from farspan.types import Budget, format_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """What came out: rows; what the machine can do; why somebody was absent, and the versions of who was there.

    `profiles` says where the time of farspan's turns goes, by the tokens read before; a part's seconds are a token's.
    """

    rows: list[Row]
    machine: Machine
    absent: dict[str, str]
    versions: dict[str, str]
    profiles: dict[int, list[Part]]


def contest(
    job: Job,
    model: Model,
    method: Method,
    budget: Budget,
    lengths: Sequence[int],
    *,
    rounds: int,
    peers: Peers | None,
    profile: bool,
    note: Callable[[str], None],
    sessions: int = 1,
) -> Contest:
    """Have all contenders at all lengths take turns; `note` is told what goes on.

    With several `sessions`, so many that write at once take part as well.
    """
    with ExitStack() as opened:
        contestants = Contestants(model, opened, rounds)
        own: list[Ours] = []
        contenders: list[Contender] = []
        for tokens in sorted(set(lengths)):
            note(f"farspan reads {format_count(tokens)} tokens")
            own.append(contestants.ours(method, budget, tokens))
            contenders.append(own[-1])
            contenders += [own[-1].together(sessions)] if sessions > 1 else []
            if peers is not None and tokens <= peers.tokens:
                note(f"the others read {format_count(tokens)} tokens")
                contenders += contestants.peers(peers, tokens)
        note("they take turns")
        machine = Machine.measured(model.hosted.dtype, model.hosted.device)
        return Contest(
            rows=race(job, contenders, rounds, Costs.of(model), machine),
            machine=machine,
            absent=contestants.absent,
            versions=contestants.versions,
            profiles={each.tokens: parts(partial(job.turn, each)) for each in own} if profile else {},
        )
