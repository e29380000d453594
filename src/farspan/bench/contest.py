"""farspan beside transformers, llama.cpp and kvpress: who reads and writes how fast, on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

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
    `failure` is what ended it before all was measured.
    """

    rows: list[Row]
    machine: Machine
    absent: dict[str, str]
    versions: dict[str, str]
    profiles: dict[int, list[Part]]
    failure: BaseException | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "machine": asdict(self.machine),
            "absent": self.absent,
            "profiles": {tokens: [asdict(part) for part in found] for tokens, found in self.profiles.items()},
        }


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

    With several `sessions`, so many that write at once take part as well. A length that cannot be read ends the
    reading, and those before it take their turns. Raises what went wrong when there is none before it.
    """
    with ExitStack() as opened:
        contestants = Contestants(model, opened, rounds)
        own: list[Ours] = []
        contenders: list[Contender] = []
        unread: Exception | None = None
        for tokens in sorted(set(lengths)):
            note(f"farspan reads {format_count(tokens)} tokens")
            try:
                own.append(contestants.ours(method, budget, tokens))
            except Exception as error:
                if not own:
                    raise
                unread = error
                break
            contenders.append(own[-1])
            contenders += [own[-1].together(sessions)] if sessions > 1 else []
            contenders += _peers(contestants, peers, tokens, note)
        note("they take turns")
        machine = Machine.measured(model.hosted.dtype, model.hosted.device)
        raced = race(job, contenders, rounds, Costs.of(model), machine)
        whole = profile and raced.failure is None
        return Contest(
            rows=raced.rows,
            machine=machine,
            absent=raced.lost | contestants.absent,
            versions=contestants.versions,
            profiles={each.tokens: parts(partial(job.turn, each)) for each in own} if whole else {},
            failure=raced.failure or unread,
        )


def _peers(contestants: Contestants, peers: Peers | None, tokens: int, note: Callable[[str], None]) -> list[Contender]:
    """The others at a length, if it is not too long for them."""
    if peers is None:
        return []
    if tokens > peers.tokens:
        most = format_count(peers.tokens)
        note(f"the others do not read {format_count(tokens)} tokens: --peer-tokens is {most}")
        return []
    note(f"the others read {format_count(tokens)} tokens")
    return contestants.peers(peers, tokens)
