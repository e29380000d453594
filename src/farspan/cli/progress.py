"""Shows how far a read has come, on stderr: a bar on a terminal, a plain line every five seconds elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import TaskID

    from farspan.types import Progress, ProgressCallback

PLAIN_INTERVAL_S = 5.0


@contextmanager
def showing(quiet: bool) -> Iterator[ProgressCallback | None]:
    """Yield the callback to hand to `Session.read`: None if `quiet`."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as callback:
            yield callback
    else:
        yield PlainLines()


@contextmanager
def telling(quiet: bool) -> Iterator[Callable[[str], None]]:
    """Yield what shows where a long job stands: one line that changes on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status("") as status:
            yield lambda line: status.update(escape(line))
    else:
        yield Sparsely()


@contextmanager
def waiting(quiet: bool, what: str) -> Iterator[None]:
    """Show that `what` goes on, and for how long, once the block has taken some seconds: for what tells no progress."""
    done = threading.Event()
    clock = threading.Thread(target=_tell_seconds, args=(quiet, what, done), daemon=True)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()


def _tell_seconds(quiet: bool, what: str, done: threading.Event) -> None:
    start = time.monotonic()
    if done.wait(PLAIN_INTERVAL_S):
        return
    with telling(quiet) as tell:
        while not done.is_set():
            tell(f"{what}: {time.monotonic() - start:,.0f} s")
            done.wait(1.0)


class Sparsely:
    """Writes a line on stderr when the last one is `interval` seconds old."""

    def __init__(self, interval: float = PLAIN_INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.interval = interval
        self.clock = clock
        self.last = clock() - interval

    def __call__(self, line: str) -> None:
        if self.clock() - self.last >= self.interval:
            self.last = self.clock()
            click.echo(line, err=True)


class PlainLines:
    """Writes one line every `interval` seconds; the first one after the first interval."""

    def __init__(self, interval: float = PLAIN_INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = Sparsely(interval, clock)
        self._write.last = clock()

    def __call__(self, progress: Progress) -> None:
        self._write(f"reading {progress.file}: {describe(progress)}")


def describe(progress: Progress) -> str:
    """Tokens read, kept, tokens per second and, where the end is known, the seconds left."""
    words = [
        f"{progress.tokens:,} tokens",
        f"kept {progress.counts.kept:,}",
        f"{progress.tokens / max(progress.seconds, 1e-9):,.0f} tokens/s",
    ]
    if progress.total_chars:
        done = min(progress.chars / progress.total_chars, 1.0)
        words[0] += f" ({done:.0%})"
        if done > 0:
            words.append(f"{progress.seconds * (1 - done) / done:,.0f} s left")
    return ", ".join(words)


@contextmanager
def _bar() -> Iterator[ProgressCallback]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.fields[file]}"), BarColumn(), TextColumn("{task.fields[state]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        rows: dict[str, TaskID] = {}

        def show(progress: Progress) -> None:
            if progress.file not in rows:
                rows[progress.file] = bar.add_task(
                    "", file=Path(progress.file).name, state="", total=progress.total_chars
                )
            bar.update(
                rows[progress.file],
                completed=progress.chars,
                total=progress.total_chars,
                state=describe(progress),
            )

        yield show
