"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request

from farspan.engine.conversation import Message
from farspan.server.api.bodies import ChatBody
from farspan.server.api.chunks import chunks, finish_reason
from farspan.server.api.info import check_model
from farspan.server.api.messages import message
from farspan.server.api.running import Running, usage
from farspan.server.api.sampling import sampling
from farspan.server.api.state import Owner, State, TheService, TheState
from farspan.server.api.streaming import EITHER, streamed
from farspan.server.asked import Answered, Asked

router = APIRouter(tags=["chat"])


@router.post("/v1/chat/completions", responses=EITHER)
async def chat(body: ChatBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Answer a conversation of any length; with `stream` as it is written."""
    check_model(body.model, service)
    messages = await asyncio.to_thread(_messages, body, state, owner)
    most = body.max_completion_tokens or body.max_tokens
    drawn = sampling(body, most, seed=body.seed, stop=body.stop)
    asked = Asked(owner=owner, messages=messages, sampling=drawn, options=body.farspan.options())
    service.check(asked)
    running = Running(state.workers, lambda listener: service.answer(asked, listener))
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": service.names[0]}
    if body.stream:
        return streamed(running, _chunks(running, head, body, state))
    answered: Answered = await running.result(request)
    state.metrics.answered(answered)
    said = {"role": "assistant", "content": answered.text, "refusal": None}
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": finish_reason(answered)}
    account = {"usage": usage(answered), "context": answered.context()}
    return {**head, "object": "chat.completion", "choices": [choice], **account}


def _messages(body: ChatBody, state: State, owner: str) -> list[Message]:
    return [message(state.files, owner, one.role, one.content, at) for at, one in enumerate(body.messages, 1)]


async def _chunks(
    running: Running, head: dict[str, Any], body: ChatBody, state: State
) -> AsyncGenerator[dict[str, Any]]:
    head = {**head, "object": "chat.completion.chunk"}
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    yield {**head, "choices": [first]}
    async with aclosing(chunks(running, head, _delta, body, state)) as found:
        async for chunk in found:
            yield chunk


def _delta(piece: str | None) -> dict[str, Any]:
    return {"delta": {} if piece is None else {"content": piece}}
