"""From a thread that works to an asyncio task that waits: what comes, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import HTTPException, Request

from farspan.engine.likely import Likely
from farspan.server.api.errors import CLIENT_GONE
from farspan.server.asked import Answered
from farspan.server.turns import Job, Stopped
from farspan.server.workers import Workers
from farspan.types import Progress

T = TypeVar("T")
_LOOK_S = 0.5


class Running:
    """One piece of work in a thread, as its listener; its `events` are Progress, pieces with their tokens, the result.

    Where nobody takes the events any more, the work is stopped at its next step.
    """

    def __init__(self, workers: Workers, work: Callable[[Running], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._workers = workers
        self._job: Job | None = None
        self._stopped = False
        self._future = workers.submit(lambda: self._run(work))

    def check(self) -> None:
        """Raise `Stopped` where nobody waits for the work any more."""
        if self._stopped:
            raise Stopped

    def began(self, job: Job) -> None:
        """It takes turns at the model from now on."""
        self._job = job
        job.resting = self._workers.resting
        if self._stopped:
            job.stop()

    def read(self, progress: Progress) -> None:
        """A chunk was read."""
        self._tell("progress", progress)

    def wrote(self, piece: str, likely: Sequence[Likely]) -> None:
        """Text of the answer is ready, and how likely its tokens were, where that was asked for."""
        self._tell("piece", (piece, likely))

    async def events(self) -> AsyncGenerator[tuple[str, Any]]:
        """What comes: `progress`, `piece`, and `done` with the result in the end. Raises what the work raised."""
        try:
            while True:
                kind, value = await self._events.get()
                if kind == "failed":
                    raise value
                yield kind, value
                if kind == "done":
                    return
        finally:
            self.stop()

    async def result(self, request: Request) -> Any:
        """The result alone; the work is stopped when the client goes."""
        waiting = asyncio.ensure_future(self.outcome())
        try:
            while not (await asyncio.wait({waiting}, timeout=_LOOK_S))[0]:
                if await request.is_disconnected():
                    self.stop()
            return waiting.result()
        finally:
            waiting.cancel()
            self.stop()

    async def outcome(self) -> Any:
        """The result alone; the work is stopped when the task that waits here is cancelled."""
        async with aclosing(self.events()) as events:
            async for kind, value in events:
                if kind == "done":
                    return value
        raise AssertionError("work ends with its result")

    def stop(self) -> None:
        """Let the work end at its next step; what has not begun does not."""
        self._stopped = True
        if self._job is not None:
            self._job.stop()
        if self._future.cancel():
            self._events.put_nowait(("failed", _client_gone()))

    def _run(self, work: Callable[[Running], Any]) -> None:
        try:
            self._tell("done", work(self))
        except (Exception, Stopped) as error:
            self._tell("failed", _client_gone() if isinstance(error, Stopped) else error)

    def _tell(self, kind: str, value: Any) -> None:
        self._loop.call_soon_threadsafe(self._events.put_nowait, (kind, value))


def _client_gone() -> HTTPException:
    return HTTPException(CLIENT_GONE, "the client went away")


def usage(*answers: Answered) -> dict[str, Any]:
    """The `usage` member of a completion, of all its answers together."""
    prompt = sum(answered.prompt_tokens for answered in answers)
    written = sum(answered.completion_tokens for answered in answers)
    cached = sum(answered.cached_tokens for answered in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": prompt - cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def prompt_progress(progress: Progress) -> dict[str, Any]:
    """How reading comes along, in the words of llama.cpp; `total` is guessed from the characters read so far."""
    share = progress.total_chars / progress.chars if progress.total_chars and progress.chars else 1.0
    return {
        "file": progress.file,
        "total": round(progress.tokens * share),
        "cache": progress.counts.seen - progress.tokens,
        "processed": progress.tokens,
        "time_ms": round(progress.seconds * 1e3),
        "context": progress.counts.as_dict(),
    }
