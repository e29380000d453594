"""`/v1/sessions`: what reads texts one after the other, is asked about them, and outlives the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from farspan.errors import UsageError
from farspan.server.api.bodies import ForkBody, ReadBody, SessionBody
from farspan.server.api.running import Running, prompt_progress
from farspan.server.api.state import Owner, State, TheService, TheState
from farspan.server.api.streaming import EITHER, streamed
from farspan.server.asked import Options
from farspan.server.listening import Listener
from farspan.text import Document

router = APIRouter(tags=["sessions"])


@router.get("/v1/sessions")
def list_sessions(owner: Owner, service: TheService) -> dict[str, Any]:
    """The names of all sessions."""
    return {"object": "list", "data": [{"id": name, "object": "session"} for name in service.sessions.names(owner)]}


@router.post("/v1/sessions")
async def create(body: SessionBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Begin a session. Answers 409 where the name is taken."""
    method, budget = service.defaults.choose(Options(method=body.method, budget=body.budget))

    def work() -> dict[str, Any]:
        return service.sessions.describe(owner, service.sessions.create(owner, body.id, method, budget))

    return await Running(state.workers, service.turn(work)).result(request)


@router.get("/v1/sessions/{id}")
async def show(id: str, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """A session: what it has read, and where that is."""
    return await Running(state.workers, service.turn(lambda: service.sessions.describe(owner, id))).result(request)


@router.get("/v1/sessions/{id}/messages")
def messages(id: str, owner: Owner, service: TheService) -> dict[str, Any]:
    """The messages and answers that stayed in a session."""
    return {"object": "list", "data": service.sessions.turns(owner, id)}


@router.get("/v1/sessions/{id}/text")
async def text(
    id: str,
    file: str,
    request: Request,
    owner: Owner,
    service: TheService,
    state: TheState,
    start: Annotated[int, Query(ge=0)] = 0,
    end: Annotated[int | None, Query(ge=0)] = None,
) -> Any:
    """The characters `[start, end)` of a text that a session has read, as sources name and count them."""

    def work() -> dict[str, Any]:
        return {"id": id, "file": file, "start": start, "text": service.sessions.quote(owner, id, file, start, end)}

    return await Running(state.workers, service.turn(work)).result(request)


@router.post("/v1/sessions/{id}/read", responses=EITHER)
async def read(id: str, body: ReadBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Read a file that was uploaded, or a text; with `stream` how that comes along."""
    service.sessions.check(owner, id)
    if (body.file_id is None) == (body.text is None):
        raise UsageError("a session reads a file or a text", fix="give file_id, or text")
    document = await asyncio.to_thread(_document, body, owner, state)

    def work(listener: Listener) -> dict[str, Any]:
        return service.read(owner, id, document, listener)

    running = Running(state.workers, work)
    return streamed(running, _events(running)) if body.stream else await running.result(request)


@router.post("/v1/sessions/{id}/fork")
async def fork(id: str, body: ForkBody, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """A copy under another name; the two then grow apart. Answers 409 where that is taken."""

    def work() -> dict[str, Any]:
        return service.sessions.describe(owner, service.sessions.fork(owner, id, body.id))

    return await Running(state.workers, service.turn(work)).result(request)


@router.post("/v1/sessions/{id}/save")
async def save(id: str, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Write a session to disk as it is now. What is read is written as it is read, so this is seldom needed."""

    def work() -> dict[str, Any]:
        service.sessions.save(owner, id)
        return service.sessions.describe(owner, id)

    return await Running(state.workers, service.turn(work)).result(request)


@router.delete("/v1/sessions/{id}")
async def delete(id: str, request: Request, owner: Owner, service: TheService, state: TheState) -> Any:
    """Remove a session. Answers 409 while it is read into or asked."""
    await Running(state.workers, service.turn(lambda: service.sessions.delete(owner, id))).result(request)
    return {"id": id, "object": "session", "deleted": True}


def _document(body: ReadBody, owner: str, state: State) -> Document:
    if body.file_id is None:
        return Document.from_text(body.text or "", body.name)
    return state.files.document(owner, body.file_id)


async def _events(running: Running) -> AsyncGenerator[dict[str, Any]]:
    async with aclosing(running.events()) as events:
        async for kind, value in events:
            if kind == "progress":
                yield {"object": "session.reading", "prompt_progress": prompt_progress(value)}
            elif kind == "done":
                yield value
