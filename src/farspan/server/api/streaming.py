"""Server-sent events: headers before anything is read, a ping every few seconds, errors as events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse

from farspan.server.api import errors

PING_S = 10


def streamed(events: AsyncIterator[dict[str, Any]], *, named: bool = False, ends: str | None = "[DONE]") -> Any:
    """A response that streams these objects; `named` ones say their `type` as the name of the event too."""

    async def frames() -> AsyncIterator[dict[str, str]]:
        try:
            async for event in events:
                yield _frame(event, named)
        except Exception as error:
            yield _frame(
                {"type": "error", **errors.described(error)[1]} if named else errors.described(error)[1], named
            )
        if ends is not None:
            yield {"data": ends}

    return EventSourceResponse(frames(), ping=PING_S, headers={"X-Accel-Buffering": "no"})


def _frame(event: dict[str, Any], named: bool) -> dict[str, str]:
    data = {"data": json.dumps(event)}
    return {"event": event["type"], **data} if named else data
