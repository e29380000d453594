"""`/v1/responses`: OpenAI's main surface. A response that was stored is gone on from by `previous_response_id`."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request

from farspan.engine.conversation import Message, Passage
from farspan.server.api.bodies import ResponseBody
from farspan.server.api.info import check_model
from farspan.server.api.messages import message
from farspan.server.api.running import Running, prompt_progress
from farspan.server.api.sampling import sampling
from farspan.server.api.state import Owner, State, TheService, TheState
from farspan.server.api.streaming import EITHER, streamed
from farspan.server.asked import Answered, Asked
from farspan.server.listening import Listener
from farspan.server.responses import Responses

router = APIRouter(tags=["responses"])


@router.post("/v1/responses", responses=EITHER)
async def respond(body: ResponseBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Answer behind the response named as the previous one, if there is one; the response is stored unless `store` is
    false.
    """
    arrived = time.perf_counter()
    check_model(body.model, service)
    earlier, new = await asyncio.to_thread(_messages, body, state, owner)
    messages = [*earlier, *new]
    asked = Asked(
        owner=owner,
        messages=[_told(body.instructions), *messages] if body.instructions else messages,
        sampling=sampling(body, body.max_output_tokens),
        options=body.farspan.options(),
        arrived=arrived,
    )
    service.check(asked)
    record = _Record(body, service.names[0], new, owner)
    running = Running(state.workers, lambda listener: service.answer(asked, listener))
    if body.stream:
        return streamed(running, _events(running, record, state), named=True, ends=None)
    answered: Answered = await running.result(request)
    state.metrics.answered(answered)
    return await asyncio.to_thread(record.completed, answered, state.responses)


@router.post("/v1/responses/input_tokens")
async def input_tokens(
    body: ResponseBody, request: Request, owner: Owner, service: TheService, state: TheState
) -> dict[str, Any]:
    """How many tokens a response would have to read, were nothing of it known."""

    def work(listener: Listener) -> int:
        earlier, new = _messages(body, state, owner)
        messages = [*earlier, *new]
        told = [_told(body.instructions), *messages] if body.instructions else messages
        return service.count(Asked(owner=owner, messages=told), listener)

    counted = await Running(state.workers, work).result(request)
    return {"object": "response.input_tokens", "input_tokens": counted}


@router.get("/v1/responses/{id}")
def get(id: str, owner: Owner, state: TheState) -> dict[str, Any]:
    """A response that was stored."""
    return state.responses.get(owner, id)


@router.get("/v1/responses/{id}/input_items")
def input_items(id: str, owner: Owner, state: TheState) -> dict[str, Any]:
    """The messages that a stored response answered, the earliest first."""
    items = state.responses.messages(owner, id)[:-1]
    return {"object": "list", "data": items, "has_more": False}


@router.delete("/v1/responses/{id}")
def delete(id: str, owner: Owner, state: TheState) -> dict[str, Any]:
    """Remove a response."""
    state.responses.delete(owner, id)
    return {"id": id, "object": "response", "deleted": True}


def _messages(body: ResponseBody, state: State, owner: str) -> tuple[list[Message], list[Message]]:
    """The messages up to the previous response, and the new ones."""
    earlier = [] if body.previous_response_id is None else state.responses.messages(owner, body.previous_response_id)
    known = [_known(one) for one in earlier]
    if isinstance(body.input, str):
        return known, [message(state.files, owner, "user", body.input, len(known) + 1)]
    numbered = enumerate(body.input, len(known) + 1)
    return known, [message(state.files, owner, one.role, one.content, number) for number, one in numbered]


def _told(instructions: str | None) -> Message:
    return Message("system", (Passage(instructions or "", "instructions"),))


def _known(stored: dict[str, Any]) -> Message:
    return Message(stored["role"], tuple(Passage(one["text"], one["name"]) for one in stored["content"]))


def _stored(message: Message) -> dict[str, Any]:
    kind = "output_text" if message.role == "assistant" else "input_text"
    content = [{"type": kind, "text": one.text, "name": one.name} for one in message.passages]
    return {"type": "message", "role": message.role, "content": content}


class _Record:
    """One response while it is made, to `new` messages."""

    def __init__(self, body: ResponseBody, model: str, new: Sequence[Message], owner: str) -> None:
        self._body = body
        self._new = new
        self._owner = owner
        self.progress = body.progress
        self.item = f"msg_{uuid.uuid4().hex}"
        self._head: dict[str, Any] = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            "instructions": body.instructions,
            "previous_response_id": body.previous_response_id,
            "max_output_tokens": body.max_output_tokens,
            "temperature": body.temperature,
            "top_p": body.top_p,
            "metadata": body.metadata or {},
            "parallel_tool_calls": False,
            "tool_choice": "none",
            "tools": [],
            "store": body.store is not False,
            "error": None,
        }

    def begun(self) -> dict[str, Any]:
        """The response before anything is written."""
        return {**self._head, "status": "in_progress", "output": [], "incomplete_details": None, "usage": None}

    def message(self, text: str, status: str = "completed") -> dict[str, Any]:
        """The one item that is put out."""
        content = [] if status == "in_progress" else [part(text)]
        return {"id": self.item, "type": "message", "role": "assistant", "status": status, "content": content}

    def completed(self, answered: Answered, responses: Responses) -> dict[str, Any]:
        """The response as it is at its end; it is stored."""
        response = {
            **self._head,
            "status": "completed" if answered.stopped else "incomplete",
            "incomplete_details": None if answered.stopped else {"reason": "max_output_tokens"},
            "output": [self.message(answered.text)],
            "usage": _usage(answered),
            "context": answered.context(),
        }
        if self._body.store is not False:
            messages = [*self._new, Message("assistant", (Passage(answered.text),))]
            responses.put(self._owner, response, [_stored(one) for one in messages])
        return response


def part(text: str) -> dict[str, Any]:
    """A piece of output."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(answered: Answered) -> dict[str, Any]:
    cached = answered.cached_tokens
    return {
        "input_tokens": answered.prompt_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": answered.prompt_tokens - cached},
        "output_tokens": answered.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answered.prompt_tokens + answered.completion_tokens,
    }


async def _events(running: Running, record: _Record, state: State) -> AsyncGenerator[dict[str, Any]]:
    number = itertools.count()
    where = {"item_id": record.item, "output_index": 0, "content_index": 0}

    def event(kind: str, **more: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "sequence_number": next(number), **more}

    yield event("created", response=record.begun())
    yield event("in_progress", response=record.begun())
    yield event("output_item.added", output_index=0, item=record.message("", "in_progress"))
    yield event("content_part.added", **where, part=part(""))
    async with aclosing(running.events()) as events:
        async for kind, value in events:
            if kind == "progress" and record.progress:
                yield event("prompt_progress", prompt_progress=prompt_progress(value))
            elif kind == "piece":
                yield event("output_text.delta", **where, delta=value[0], logprobs=[])
            elif kind == "done":
                yield event("output_text.done", **where, text=value.text, logprobs=[])
                yield event("content_part.done", **where, part=part(value.text))
                yield event("output_item.done", output_index=0, item=record.message(value.text))
                state.metrics.answered(value)
                response = await asyncio.to_thread(record.completed, value, state.responses)
                yield event("completed" if value.stopped else "incomplete", response=response)
