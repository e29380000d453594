"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request

from farspan.engine.conversation import Message
from farspan.engine.likely import Likely
from farspan.server.api.bodies import ChatBody
from farspan.server.api.chunks import Shape, chunks, finish_reason
from farspan.server.api.info import check_model
from farspan.server.api.logprobs import of_chat
from farspan.server.api.messages import message
from farspan.server.api.running import Running, usage
from farspan.server.api.sampling import sampling
from farspan.server.api.state import Owner, State, TheService, TheState
from farspan.server.api.streaming import EITHER, streamed
from farspan.server.asked import Answered, Asked
from farspan.server.service import Service

router = APIRouter(tags=["chat"])


@router.post("/v1/chat/completions", responses=EITHER)
async def chat(body: ChatBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Answer a conversation of any length; with `stream` as it is written."""
    arrived = time.perf_counter()
    check_model(body.model, service)
    messages = await asyncio.to_thread(_messages, body, state, owner)
    most = body.max_completion_tokens or body.max_tokens
    drawn = sampling(body, most, seed=body.seed, stop=body.stop)
    drawn["logprobs"] = (body.top_logprobs or 0) if body.logprobs else None
    options = body.farspan.options()
    asked = Asked(owner=owner, messages=messages, sampling=drawn, options=options, arrived=arrived)
    service.check(asked)
    running = Running(state.workers, lambda listener: service.answer(asked, listener))
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": service.names[0]}
    if body.stream:
        return streamed(running, _chunks(running, head, _shape(service, body), body, state))
    answered: Answered = await running.result(request)
    state.metrics.answered(answered)
    said = {"role": "assistant", "content": answered.text, "refusal": None}
    likely = _logprobs(service, body, answered.worded)
    choice = {"index": 0, "message": said, "logprobs": likely, "finish_reason": finish_reason(answered)}
    account = {"usage": usage(answered), "context": answered.context()}
    return {**head, "object": "chat.completion", "choices": [choice], **account}


def _messages(body: ChatBody, state: State, owner: str) -> list[Message]:
    return [message(state.files, owner, one.role, one.content, at) for at, one in enumerate(body.messages, 1)]


def _shape(service: Service, body: ChatBody) -> Shape:
    """How a chunk holds a piece."""

    def shape(piece: str | None, likely: Sequence[Likely]) -> dict[str, Any]:
        if piece is None:
            return {"delta": {}, "logprobs": None}
        return {"delta": {"content": piece}, "logprobs": _logprobs(service, body, likely)}

    return shape


def _logprobs(service: Service, body: ChatBody, likely: Sequence[Likely]) -> dict[str, Any] | None:
    return of_chat(service.model.tokenizer, likely) if body.logprobs else None


async def _chunks(
    running: Running, head: dict[str, Any], shape: Shape, body: ChatBody, state: State
) -> AsyncGenerator[dict[str, Any]]:
    head = {**head, "object": "chat.completion.chunk"}
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    yield {**head, "choices": [first]}
    async with aclosing(chunks(running, head, shape, body, state)) as found:
        async for chunk in found:
            yield chunk
