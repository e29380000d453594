"""Threads for the work of requests, and a queue of those that wait for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from farspan.errors import FarspanError

T = TypeVar("T")


class Busy(FarspanError):
    """More requests wait than may."""


class Workers:
    """At most `parallel` requests are worked on at once, and at most `queue` more wait."""

    def __init__(self, parallel: int, queue: int) -> None:
        self.parallel = parallel
        self.queue = queue
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="farspan-request")
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def running(self) -> int:
        """Requests that are worked on."""
        return min(self._taken, self.parallel)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return max(0, self._taken - self.parallel)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Do this as soon as there is a thread. Raises Busy where too many wait already."""
        with self._lock:
            if self._taken >= self.parallel + self.queue:
                raise Busy(
                    f"{self.waiting} requests wait already, and {self.parallel} are worked on",
                    fix="send it again later, or begin the server with a longer --queue",
                )
            self._taken += 1
        done = self._pool.submit(work)
        done.add_done_callback(lambda _: self._give_back())
        return done

    def close(self) -> None:
        """Take no more; what runs ends."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1
