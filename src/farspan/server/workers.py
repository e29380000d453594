"""Threads for the work of requests, and a queue of those that wait for one."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from farspan.errors import FarspanError

T = TypeVar("T")


class Busy(FarspanError):
    """More requests wait than may."""


class Workers:
    """At most `parallel` requests are worked on at once, and at most `queue` more wait.

    One that rests while others do what it waits for is not worked on. When that is done it goes on before those that
    have not begun.
    """

    def __init__(self, parallel: int, queue: int) -> None:
        self.parallel = parallel
        self.queue = queue
        self._pool = ThreadPoolExecutor(parallel + queue, thread_name_prefix="farspan-request")
        self._lock = threading.Lock()
        self._free = parallel
        self._all = 0
        self._rested: deque[threading.Event] = deque()
        self._new: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    @property
    def running(self) -> int:
        """Requests that are worked on."""
        return self.parallel - self._free

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._all - self.running

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do this as soon as others leave room for it. Raises Busy where too many wait already."""
        done: Future[T] = Future()
        with self._lock:
            if self._all >= self.parallel + self.queue:
                raise Busy(
                    f"{self.waiting} requests wait already, and {self.running} are worked on",
                    fix="send it again later, or begin the server with a longer --queue",
                )
            self._all += 1
            self._new.append((done, work))
            self._go_on()
        done.add_done_callback(self._ended)
        return done

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Let others be worked on meanwhile; called in the thread that works."""
        with self._lock:
            self._free += 1
            self._go_on()
        try:
            yield
        finally:
            turn = threading.Event()
            with self._lock:
                self._rested.append(turn)
                self._go_on()
            turn.wait()

    def close(self) -> None:
        """Take no more; what runs ends."""
        for done, _ in list(self._new):
            done.cancel()
        self._pool.shutdown(wait=True)

    def _go_on(self) -> None:
        """Have those worked on for whom there is room now."""
        while self._free and (self._rested or self._new):
            if self._rested:
                self._free -= 1
                self._rested.popleft().set()
                continue
            done, work = self._new.popleft()
            if done.set_running_or_notify_cancel():
                self._free -= 1
                self._pool.submit(_do, done, work)

    def _ended(self, done: Future[Any]) -> None:
        with self._lock:
            self._all -= 1
            if done.cancelled():
                self._new = deque(one for one in self._new if one[0] is not done)
            else:
                self._free += 1
            self._go_on()


def _do(done: Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)
