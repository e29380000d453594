"""farspan with a method, as a contender: one session, or several that write at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from statistics import fmean

from farspan.bench.clock import seconds_of
from farspan.bench.race import GROUP, PIECE, Turn, piece
from farspan.engine import Model, Session
from farspan.engine.generation import Generation
from farspan.engine.together import together
from farspan.methods import Method
from farspan.methods.parts.plan import Plan
from farspan.types import Budget, Counts

_WITHOUT_END = 1 << 30


class Ours:
    """A session that has read `ids`. It writes on in one fork, and reads on in a fork for each turn.

    What is opened is closed with `opened`.
    """

    is_peer = False

    def __init__(self, model: Model, method: Method, budget: Budget, ids: Sequence[int], opened: ExitStack) -> None:
        self.name = f"farspan {method}"
        self.tokens = len(ids)
        self.item_bytes = model.hosted.dtype.itemsize
        self._device = model.hosted.device
        self._more = piece(ids)
        self._opened = opened
        self._session = opened.enter_context(model.session(method, budget))
        self._session.read(ids)
        self._plans = [heads.plan for layer in method.plans(model.hosted) for heads in layer]
        cadences = [most for plan in self._plans if (most := plan.select.cadence(answering=False)) is not None]
        self._step = min([model.chunk, *cadences])

    def write(self) -> Turn:
        """Write the next tokens of one long answer."""
        fork, answer, pieces = self._answer
        return self.written(fork, answer, pieces)

    def written(self, fork: Session, answer: Generation, pieces: Iterator[object], sessions: int = 1) -> Turn:
        """Go on until this answer, the last of so many that take a token each in turn, has a group of tokens more."""
        fetched, drawn = fork.counts.fetched, len(answer.drawn)

        def go_on() -> None:
            while len(answer.drawn) < drawn + GROUP:
                next(pieces)

        seconds = seconds_of(go_on, self._device)
        wrote = len(answer.drawn) - drawn
        return Turn(seconds, wrote * sessions, self._keys(fork, fetched, wrote), sessions)

    def read_on(self) -> Turn:
        """Read the piece on a fork."""
        with self._ready_to_read.fork() as fork:
            fetched = fork.counts.fetched
            seconds = seconds_of(lambda: fork.read(self._more), self._device)
            return Turn(seconds, len(self._more), self._keys(fork, fetched, -(-len(self._more) // self._step)))

    def together(self, sessions: int) -> Together:
        """So many forks that write at once."""
        return Together(self, sessions)

    @cached_property
    def _answer(self) -> tuple[Session, Generation, Iterator[str]]:
        fork, answer = self.begun(0)
        return fork, answer, iter(answer)

    def begun(self, number: int) -> tuple[Session, Generation]:
        """A fork with an answer that has no end; each of `PIECE` numbers begins with a token of its own."""
        fork = self._opened.enter_context(self._session.fork())
        answer = fork.generate([self._more[number % PIECE]], max_new_tokens=_WITHOUT_END, ignore_eos=True)
        self._opened.callback(answer.close)
        return fork, answer

    @cached_property
    def _ready_to_read(self) -> Session:
        """One piece further on: with the first token behind the window, a method does what it never does again."""
        self._session.read(self._more)
        return self._session

    def _keys(self, fork: Session, fetched: int, steps: int) -> float:
        """Keys that a query met, on average over the layers: what is at hand, and what its step fetched."""
        counts = fork.counts
        at_hand = fmean(_at_hand(plan, counts) for plan in self._plans)
        return min(counts.seen, at_hand + (counts.fetched - fetched) / steps)


class Together:
    """Forks of one session that write at once, a token of each in one forward."""

    is_peer = False

    def __init__(self, ours: Ours, sessions: int) -> None:
        self.name = f"{ours.name}, {sessions} at once"
        self.tokens, self.item_bytes = ours.tokens, ours.item_bytes
        self._ours, self._sessions = ours, sessions

    def write(self) -> Turn:
        """Write the next tokens of each."""
        answers, pieces = self._begun
        return self._ours.written(*answers[-1], pieces, self._sessions)

    def read_on(self) -> Turn:
        """Read the piece as one session: a chunk has the weights' worth of work by itself."""
        return self._ours.read_on()

    @cached_property
    def _begun(self) -> tuple[list[tuple[Session, Generation]], Iterator[tuple[int, str]]]:
        answers = [self._ours.begun(number) for number in range(self._sessions)]
        return answers, together([answer for _, answer in answers])


def _at_hand(plan: Plan, counts: Counts) -> int:
    """First and recent tokens; with no store all that is kept, and everything where every block is met."""
    if plan.select.needs_all:
        return counts.seen
    return plan.sinks + plan.window if plan.keep.stores else counts.kept
