"""Memory for sessions: what is worked on has it, what is kept for later has the rest, the latest used first.

What is kept may have so many file descriptors, too, since a process has no more than some thousands of them.
"""

from __future__ import annotations

from collections import deque
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


class _Ticket:
    """One who waits for room; the room is theirs as soon as it is `granted`."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.granted = Event()


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
        self._line: deque[_Ticket] = deque()

    @contextmanager
    def taking(self, amount: int) -> Iterator[None]:
        """Have so many bytes, once others have given back enough and who came before has had theirs.

        Raises BudgetError where there are never so many.
        """
        if amount > self.limit:
            raise BudgetError(
                f"this needs up to {format_bytes(amount)} of KV memory, and the server has {format_bytes(self.limit)}",
                fix="ask with a smaller budget, or begin the server with more --memory",
            )
        self._wait(_Ticket(amount))
        try:
            self.shrink()
            yield
        finally:
            self.taken -= amount
            self._grant()

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

    def _wait(self, ticket: _Ticket) -> None:
        """Stand in line until there is room, which is taken then."""
        self._line.append(ticket)
        self._grant()
        try:
            if not ticket.granted.is_set():
                self._turns.wait(ticket.granted)
        except BaseException:
            if ticket.granted.is_set():
                self.taken -= ticket.amount
            else:
                self._line.remove(ticket)
            self._grant()
            raise

    def _grant(self) -> None:
        """Give room to those who wait, as long as there is some for the first of them."""
        while self._line and self.taken + self._line[0].amount <= self.limit:
            ticket = self._line.popleft()
            self.taken += ticket.amount
            ticket.granted.set()

    def _fits(self, kept: Sequence[Kept]) -> bool:
        size = sum(one.bytes for one in kept), sum(one.files for one in kept)
        return self.taken + size[0] <= self.limit and size[1] <= self.files
