"""Several works at once, of which the first that fails ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self


class Threads:
    """Works in threads of their own, which look at `ended`. Leaving the block ends them, also by Ctrl-C.

    None of them keeps the program from ending.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failures: list[BaseException] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()

    def begin(self, work: Callable[[], None]) -> None:
        """Set a work going."""

        def run() -> None:
            try:
                work()
            except BaseException as error:
                self._failures.append(error)
                self.ended.set()

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()

    def wait(self) -> None:
        """Wait until all are done. Raises what the first of them failed with."""
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
