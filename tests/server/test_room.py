"""Memory: who works waits for it, what is kept gives way, and what never fits is said."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from farspan.errors import BudgetError
from farspan.server.room import Kept, Room
from farspan.server.turns import Job, Stopped, Turns
from tests.server.conftest import wait_for

MANY = 1000


def keeping(room: Room, *sizes: int, files: int = 0) -> dict[int, int]:
    """Things that are kept, the first used longest ago."""
    kept = dict(enumerate(sizes))
    room.keepers.append(
        lambda: [Kept(used, size, files, lambda used=used: kept.pop(used)) for used, size in kept.items()]  # type: ignore[misc]
    )
    return kept


def test_what_was_used_longest_ago_gives_way() -> None:
    turns = Turns()
    room = Room(turns, 100, MANY)
    kept = keeping(room, 30, 30, 30)
    with turns.job(), room.taking(50):
        assert kept == {2: 30}
    assert room.taken == 0


def test_what_was_used_longest_ago_gives_way_where_too_many_files_are_open() -> None:
    room = Room(Turns(), 100, 10)
    kept = keeping(room, 1, 1, 1, 1, files=4)
    room.shrink()
    assert kept == {2: 1, 3: 1}


def test_what_never_fits_is_said() -> None:
    turns = Turns()
    with (
        turns.job(),
        pytest.raises(BudgetError, match=r"up to 101B of KV memory, and the server has 100B"),
        Room(turns, 100, MANY).taking(101),
    ):
        pass


def test_who_comes_waits_until_there_is_room() -> None:
    turns = Turns()
    room = Room(turns, 100, MANY)
    order: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with turns.job(), room.taking(80):
            order.append("second")

    released = threading.Event()

    def holder() -> None:
        with turns.job(), room.taking(80):
            entered.set()
            turns.wait(released)
            order.append("first")

    threads = [threading.Thread(target=holder), threading.Thread(target=second)]
    threads[0].start()
    entered.wait(10)
    threads[1].start()
    released.set()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "second"]


class Line:
    """Jobs that wait for room, one after the other; the first one has it all until `released`."""

    def __init__(self, limit: int = 100) -> None:
        self.turns = Turns()
        self.room = Room(self.turns, limit, MANY)
        self.released = threading.Event()
        self.had: list[int] = []
        self.jobs: list[Job] = []
        self._threads: list[threading.Thread] = []
        self.come(limit, self.released)

    def come(self, amount: int, until: threading.Event | None = None) -> Job:
        """One more; it has the room until then."""
        number, before = len(self.jobs), len(self.room._line)
        self._threads.append(threading.Thread(target=self._take, args=(amount, until)))
        self._threads[-1].start()
        wait_for(lambda: len(self.jobs) > number and (number == 0 or len(self.room._line) > before))
        return self.jobs[number]

    def end(self) -> list[int]:
        """Let them go on, and say what they have had, in order."""
        self.released.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        assert self.room.taken == 0
        return self.had

    def _take(self, amount: int, until: threading.Event | None) -> None:
        with suppress(Stopped), self.turns.job() as job:
            self.jobs.append(job)
            with self.room.taking(amount):
                self.had.append(amount)
                if until is not None:
                    self.turns.wait(until)


def test_who_wants_much_is_not_overtaken_for_ever() -> None:
    line = Line()
    for amount in (90, 60, 70):
        line.come(amount)
    assert line.end() == [100, 90, 60, 70]


def test_what_is_free_goes_to_the_next_in_line_while_others_work() -> None:
    line = Line()
    half = threading.Event()
    line.come(50, half)
    line.come(50)
    line.released.set()
    wait_for(lambda: line.had == [100, 50, 50])
    line.come(80)
    half.set()
    assert line.end() == [100, 50, 50, 80]


def test_who_goes_leaves_the_line() -> None:
    line = Line()
    gone = line.come(90)
    line.come(20)
    gone.stop()
    wait_for(lambda: len(line.room._line) == 1)
    assert line.end() == [100, 20]


def test_what_never_fits_is_said_at_once_however_many_wait() -> None:
    line = Line()
    line.come(10)
    with pytest.raises(BudgetError), line.turns.job(), line.room.taking(101):
        pass
    assert line.had == [100]
    line.end()
