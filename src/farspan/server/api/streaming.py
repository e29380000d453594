"""Server-sent events: headers before anything is read, a ping every few seconds, errors as events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.types import Receive, Scope, Send

from farspan.server.api import errors
from farspan.server.api.running import Running

PING_S = 10
GRACE_S = 10.0
_CLOSING_S = 0.5
EITHER: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole, or with `stream` events", "content": {"text/event-stream": {}}}
}


class Stream(EventSourceResponse):
    """A stream of what `running` does, which is stopped when the stream ends, also where that was before it began.

    When the server is told to end, it has nearly all of `GRACE_S` to come to its own end.
    """

    def __init__(self, running: Running, frames: AsyncGenerator[dict[str, str]]) -> None:
        super().__init__(frames, ping=PING_S, shutdown_grace_period=GRACE_S - _CLOSING_S)
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._running.stop()


def streamed(
    running: Running, events: AsyncGenerator[dict[str, Any]], *, named: bool = False, ends: str | None = "[DONE]"
) -> Stream:
    """A response that streams these objects; `named` ones say their `type` as the name of the event too."""

    async def frames() -> AsyncGenerator[dict[str, str]]:
        try:
            async with aclosing(events):
                async for event in events:
                    yield _frame(event, named)
        except Exception as error:
            _, found = errors.described(error)
            yield _frame({**found["error"], **found, "type": "error"} if named else found, named)
        if ends is not None:
            yield {"data": ends}

    return Stream(running, frames())


def _frame(event: dict[str, Any], named: bool) -> dict[str, str]:
    data = {"data": json.dumps(event)}
    return {"event": event["type"], **data} if named else data
