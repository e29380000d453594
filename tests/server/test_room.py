"""Memory: who works waits for it, what is kept gives way, and what never fits is said."""

from __future__ import annotations

import threading

import pytest

from farspan.errors import BudgetError
from farspan.server.room import Kept, Room
from farspan.server.turns import Turns

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
