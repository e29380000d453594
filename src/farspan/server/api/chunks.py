"""What is streamed of a completion, by chat and by text alike."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from farspan.engine.likely import Likely
from farspan.server.api.bodies import ChatBody, CompletionBody
from farspan.server.api.running import Running, prompt_progress, usage
from farspan.server.api.state import State
from farspan.server.asked import Answered

Shape = Callable[[str | None, Sequence[Likely]], dict[str, Any]]
"""How a choice holds a piece of text and its tokens; the last one holds none."""


def finish_reason(answered: Answered) -> str:
    """Why an answer ended."""
    return "stop" if answered.stopped else "length"


async def chunks(
    running: Running, head: dict[str, Any], shape: Shape, body: ChatBody | CompletionBody, state: State
) -> AsyncGenerator[dict[str, Any]]:
    """Progress of reading if it is asked for, pieces of text, why they end with the account, and usage if asked for."""

    def chunk(piece: str | None, likely: Sequence[Likely] = (), reason: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, **shape(piece, likely), "finish_reason": reason}]}

    async with aclosing(running.events()) as events:
        async for kind, value in events:
            if kind == "progress" and body.progress:
                yield {**head, "choices": [], "prompt_progress": prompt_progress(value)}
            elif kind == "piece" and body.max_tokens != 0:
                yield chunk(*value)
            elif kind == "done":
                state.metrics.answered(value)
                yield {**chunk(None, reason=finish_reason(value)), "context": value.context()}
                if body.stream_options is not None and body.stream_options.include_usage:
                    yield {**head, "choices": [], "usage": usage(value), "context": value.context()}
