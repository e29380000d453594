"""Memory for sessions: what is worked on has it, what is kept for later has the rest, the latest used first.

What is kept may have so many file descriptors, too, since a process has no more than some thousands of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple

from farspan.errors import BudgetError
from farspan.server.turns import Turns
from farspan.types import format_bytes


class Kept(NamedTuple):
    """Something that is kept for later: when it was used (`time.monotonic`), its size, and how to give it up.

    `files` are the file descriptors that it holds. What others depend on is not `free` to go.
    """

    used: float
    bytes: int
    files: int
    give_up: Callable[[], None]
    free: bool = True


Keeper = Callable[[], Iterable[Kept]]


class Room:
    """At most `limit` bytes of KV memory in all, and at most `files` file descriptors of what is kept.

    Who keeps sessions adds a keeper, which tells those that there are. `taken` is what is worked on may take,
    `kept_bytes` what was kept when it last looked.
    """

    def __init__(self, turns: Turns, limit: int, files: int) -> None:
        self.limit = limit
        self.files = files
        self.taken = self.kept_bytes = 0
        self.keepers: list[Keeper] = []
        self._turns = turns
        self._freed = Event()

    @contextmanager
    def taking(self, amount: int) -> Iterator[None]:
        """Have so many bytes, once others have given back enough. Raises BudgetError where there are never so many."""
        if amount > self.limit:
            raise BudgetError(
                f"this needs up to {format_bytes(amount)} of KV memory, and the server has {format_bytes(self.limit)}",
                fix="ask with a smaller budget, or begin the server with more --memory",
            )
        while self.taken + amount > self.limit:
            self._freed.clear()
            self._turns.wait(self._freed)
        self.taken += amount
        try:
            self.shrink()
            yield
        finally:
            self.taken -= amount
            self._freed.set()

    def kept(self) -> list[Kept]:
        """Everything that is kept, what was used longest ago first."""
        return sorted((one for keeper in self.keepers for one in keeper()), key=lambda one: one.used)

    def shrink(self) -> None:
        """Give up what was used longest ago, until all fits that is left."""
        kept = self.kept()
        while not self._fits(kept) and any(one.free for one in kept):
            next(one for one in kept if one.free).give_up()
            kept = self.kept()
        self.kept_bytes = sum(one.bytes for one in kept)

    def _fits(self, kept: Sequence[Kept]) -> bool:
        size = sum(one.bytes for one in kept), sum(one.files for one in kept)
        return self.taken + size[0] <= self.limit and size[1] <= self.files
