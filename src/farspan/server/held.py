"""Sessions that others depend on: a fork shares blocks with the session that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Self, TypeVar

from farspan.engine import Session
from farspan.readers.kit.session import ReaderSession

S = TypeVar("S", Session, ReaderSession)


class Held(Generic[S]):
    """A session and how many hold it: who works on it, the prefixes that keep it, and its forks.

    It begins with one holder. The last to `release` it closes it, which `closed` is told, and gives up the one that it
    was forked from.
    """

    def __init__(self, session: S, origin: Held[S] | None = None, closed: Callable[[S], None] = lambda _: None) -> None:
        self.session: S = session
        self._origin: Held[S] | None = origin
        self._closed: Callable[[S], None] = closed
        self._holders = 1

    @property
    def holders(self) -> int:
        """How many hold it."""
        return self._holders

    def hold(self) -> Self:
        """One more."""
        assert self._holders, "a session that was closed cannot be held"
        self._holders += 1
        return self

    def fork(self) -> Held[S]:
        """A session that begins with everything in this one, and has one holder."""
        return Held(self.session.fork(), self.hold())

    def release(self) -> None:
        """One less."""
        assert self._holders, "it was released once too often"
        self._holders -= 1
        if self._holders:
            return
        self.session.close()
        self._closed(self.session)
        if self._origin is not None:
            self._origin.release()
