"""Memory for the sessions that are worked on: what does not fit is said before it is begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

from farspan.errors import BudgetError
from farspan.server.turns import Turns
from farspan.types import format_bytes


class Room:
    """At most `limit` bytes of KV memory in all. `make` is asked to free what is kept until so many are free."""

    def __init__(self, turns: Turns, limit: int, make: Callable[[int], None]) -> None:
        self.limit = limit
        self.taken = 0
        self._turns = turns
        self._make = make
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
            self._make(self.taken)
            yield
        finally:
            self.taken -= amount
            self._freed.set()
