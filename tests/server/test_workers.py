"""Who is worked on: so many at once, in order, and not those that rest while others do what they wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from farspan.server.workers import Busy, Workers
from tests.server.conftest import wait_for

Work = Callable[[], None]


class Stage:
    """Workers, and works that are told when to go on. It notes what was begun and done, and how many at once."""

    def __init__(self, parallel: int, queue: int) -> None:
        self.workers = Workers(parallel, queue)
        self.noted: list[str] = []
        self.most = 0
        self.events: list[threading.Event] = []

    def event(self) -> threading.Event:
        """Something to wait for."""
        self.events.append(threading.Event())
        return self.events[-1]

    def work(self, name: str, *waits: threading.Event, rests: bool = False) -> Future[None]:
        """A work that waits for each of these, resting or not."""

        def run() -> None:
            self._note(f"{name} began")
            for event in waits:
                if rests:
                    with self.workers.resting():
                        event.wait(20)
                else:
                    event.wait(20)
                self._note(f"{name} went on")

        return self.workers.submit(run)

    def _note(self, what: str) -> None:
        self.most = max(self.most, self.workers.running)
        self.noted.append(what)


@contextmanager
def stage(parallel: int, queue: int = 8) -> Iterator[Stage]:
    """Workers that are closed in the end, when nothing is waited for any more."""
    made = Stage(parallel, queue)
    try:
        yield made
    finally:
        for event in made.events:
            event.set()
        made.workers.close()


def test_so_many_are_worked_on_at_once_in_the_order_they_came() -> None:
    with stage(2) as on:
        go_on = on.event()
        works = [on.work(str(number), go_on) for number in range(4)]
        wait_for(lambda: len(on.noted) == 2)
        assert (on.workers.running, on.workers.waiting) == (2, 2)
        assert sorted(on.noted) == ["0 began", "1 began"]
        go_on.set()
        for work in works:
            work.result(20)
        wait_for(lambda: (on.workers.running, on.workers.waiting) == (0, 0))
    assert on.most == 2


def test_others_are_worked_on_while_one_rests() -> None:
    with stage(1) as on:
        ready = on.event()
        rests = on.work("rests", ready, rests=True)
        on.work("other").result(20)
        assert on.noted == ["rests began", "other began"]
        wait_for(lambda: (on.workers.running, on.workers.waiting) == (0, 1))
        ready.set()
        rests.result(20)


def test_who_has_rested_waits_for_room_and_goes_on_before_those_that_have_not_begun() -> None:
    with stage(1) as on:
        ready, go_on = on.event(), on.event()
        rests = on.work("rests", ready, rests=True)
        other, last = on.work("other", go_on), on.work("last")
        wait_for(lambda: len(on.noted) == 2)
        ready.set()
        wait_for(lambda: on.workers._rested)
        go_on.set()
        for work in (rests, other, last):
            work.result(20)
        assert [what for what in on.noted if not what.startswith("other")] == [
            "rests began",
            "rests went on",
            "last began",
        ]
    assert on.most == 1


def test_those_that_rest_count_among_those_that_wait() -> None:
    with stage(1, queue=2) as on:
        ready = on.event()
        for number in range(3):
            on.work(str(number), ready, rests=True)
        wait_for(lambda: (len(on.noted), on.workers.running) == (3, 0))
        with pytest.raises(Busy, match="3 requests wait already, and 0 are worked on"):
            on.work("one too many")


def test_what_fails_makes_room_too() -> None:
    with stage(1) as on:
        failed = on.workers.submit(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            failed.result(20)
        assert on.work("next").result(20) is None


def test_what_has_not_begun_can_be_taken_back() -> None:
    with stage(1) as on:
        go_on = on.event()
        first, second = on.work("first", go_on), on.work("second")
        assert second.cancel()
        assert not first.cancel()
        assert on.workers.waiting == 0
        go_on.set()
        first.result(20)
        on.work("third").result(20)
    assert [what for what in on.noted if what.endswith("began")] == ["first began", "third began"]
