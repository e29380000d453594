"""Several jobs share one model and take turns at it, step by step, each for the same share of the time.

A job is a thread that does ordinary work with sessions: it reads, asks, forks. Only the one whose turn it is runs, and
it hands its turn on before every step of the model. Next is who has had least time so far, so a long text that is read
does not hold up a short question. Who comes new has a head start, so that a short question need not share at all; but
those are rationed, since many short questions must not hold up a long text either. Answers that wait for their next
token at the same time get it from one step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor

from farspan.engine.stepping import Logits, Step, run_steps
from farspan.errors import FarspanError

_LOOK_UP_S = 0.25
_HEAD_START_S, _HEAD_STARTS_S, _HEAD_START_SHARE = 0.2, 0.4, 0.5


class Stopped(BaseException):
    """The job was stopped from outside: nobody waits for what it does."""


class Job:
    """One thread's part in the turns. `stop` makes its next step raise `Stopped`.

    It is `resting` while it waits for something that others do: who gave it a thread may set that.
    """

    def __init__(self, used: float) -> None:
        self.used = used
        self.stopping = False
        self.resting: Callable[[], AbstractContextManager[None]] = nullcontext
        self.wake = threading.Event()
        self.wish: tuple[Step, Logits | None] | None = None
        self.outcome: Tensor | BaseException | None = None
        self.has_outcome = False

    def stop(self) -> None:
        """Let it end at its next step."""
        self.stopping = True

    def goes_with(self, other: Job) -> bool:
        """Whether both wait for the next token of an answer, which one step can give them."""
        return self._next_token() is not None and self._next_token() is other._next_token()

    def _next_token(self) -> object:
        """The model that it waits for, if what it waits for is one token of an answer."""
        if self.wish is None or self.has_outcome:
            return None
        step, logits = self.wish
        one = step.answering and len(step.ids) == 1 and logits == "last" and not step.memory.surprised
        return step.memory.settings.hosted if one else None


class Turns:
    """Who may run: the `Runner` of the model that the jobs share. `now` is a clock."""

    def __init__(
        self,
        run_at_once: Callable[[Sequence[Step], Logits | None], list[Tensor | None]] = run_steps,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._run_at_once = run_at_once
        self._now = now
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._holder: Job | None = None
        self._since = 0.0
        self._fair = 0.0  # what a job has had that has always had its share
        self._head_starts, self._rationed_at = _HEAD_STARTS_S, now()

    @contextmanager
    def job(self) -> Iterator[Job]:
        """Take part: the body runs when it has the turn, and has it whenever it is not in `run` or `wait`."""
        job = Job(0.0)
        with self._lock:
            job.used = self._fair - self._head_start()
            self._enter(job)
        self._wait(job)
        try:
            yield job
        finally:
            with self._lock:
                self._leave()
                self._pass_on()

    def wait(self, event: threading.Event) -> None:
        """Let others have the turn until this is set."""
        with self._lock:
            job = self._leave()
            self._pass_on()
        with job.resting():
            while not job.stopping and not event.wait(_LOOK_UP_S):
                pass
        with self._lock:
            job.used = max(job.used, self._fair)
            self._enter(job)
        self._wait(job)
        if job.stopping:
            raise Stopped

    def run(self, step: Step, logits: Logits | None) -> Tensor | None:
        """Run a step of the job that has the turn, when that comes again."""
        job = self._running()
        job.wish, job.has_outcome = (step, logits), False
        self._wait_again(job)
        if not job.has_outcome:
            self._grant([job, *self._companions(job)])
        outcome, job.wish, job.outcome = job.outcome, None, None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def give_way(self) -> None:
        """Let others have the turn, and go on when it comes again."""
        self._wait_again(self._running())

    def _running(self) -> Job:
        """The job that has the turn. Raises Stopped where it was stopped."""
        job = self._holder
        assert job is not None, "what goes through a served model belongs to a job"
        if job.stopping:
            raise Stopped
        return job

    def _wait_again(self, job: Job) -> None:
        with self._lock:
            self._enter(self._leave())
        self._wait(job)

    def _companions(self, job: Job) -> list[Job]:
        with self._lock:
            return [other for other in self._waiting if other.goes_with(job) and not other.stopping]

    def _grant(self, jobs: Sequence[Job]) -> None:
        """Run what these wait for in one step; where that fails, each by itself."""
        began = self._now()
        wishes = [job.wish for job in jobs if job.wish is not None]
        try:
            outcomes: Sequence[Tensor | BaseException | None] = self._run_at_once([s for s, _ in wishes], wishes[0][1])
        except FarspanError as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._grant([job])
                return
            outcomes = [error]
        for job, outcome in zip(jobs, outcomes, strict=True):
            job.outcome, job.has_outcome = outcome, True
        self._share((self._now() - began) / len(jobs), jobs)

    def _share(self, seconds: float, jobs: Sequence[Job]) -> None:
        """Count a step that was run for several jobs to all of them."""
        with self._lock:
            for job in jobs:
                self._charge(job, seconds)
            self._since += seconds * len(jobs)

    def _charge(self, job: Job, seconds: float) -> None:
        self._fair += seconds / (len(self._waiting) + 1)
        job.used = job.used + seconds if self._waiting else self._fair  # who is alone takes it from nobody

    def _head_start(self) -> float:
        """How much less a new job is said to have had; over time, that is half of all time at most."""
        now = self._now()
        self._head_starts += (now - self._rationed_at) * _HEAD_START_SHARE
        self._head_starts, self._rationed_at = min(self._head_starts, _HEAD_STARTS_S), now
        given = min(_HEAD_START_S, self._head_starts)
        self._head_starts -= given
        return given

    def _wait(self, job: Job) -> None:
        job.wake.wait()
        job.wake.clear()

    def _enter(self, job: Job) -> None:
        self._waiting.append(job)
        if self._holder is None:
            self._pass_on()

    def _leave(self) -> Job:
        job, self._holder = self._holder, None
        assert job is not None
        self._charge(job, self._now() - self._since)
        return job

    def _pass_on(self) -> None:
        """Give the turn to one of those who wait: first to who has got its step, then to who has had least."""
        if not self._waiting:
            return
        job = min(self._waiting, key=lambda one: (not (one.has_outcome and one.wish is not None), one.used))
        self._waiting.remove(job)
        self._holder, self._since = job, self._now()
        job.wake.set()
