"""The application: its routes, what loads the model beside them, and what all replies have in common."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import farspan
from farspan.errors import FarspanError
from farspan.server.api import chat, completions, errors, files, info, page, responses, sessions, tokens
from farspan.server.api.guard import Guard
from farspan.server.api.schema import openapi
from farspan.server.api.state import State
from farspan.server.building import Settings, build
from farspan.server.files import Files
from farspan.server.metrics import Metrics
from farspan.server.responses import Responses
from farspan.server.workers import Workers

_ROOMS = (info, chat, completions, responses, files, sessions, tokens, page)


def create(settings: Settings) -> FastAPI:
    """The application. The model is loaded while /health says 503."""
    state = State(
        settings=settings,
        workers=Workers(settings.parallel, settings.queue),
        files=Files(settings.folder / "files", settings.upload),
        responses=Responses(settings.folder / "responses"),
        metrics=Metrics(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(state))
        try:
            yield
        finally:
            await loading
            state.workers.close()
            if state.service is not None:
                state.service.close()

    app = FastAPI(
        title="farspan",
        version=farspan.__version__,
        description="Any OpenAI client gets a context without end; every reply says what was seen, kept and dropped.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.farspan = state
    errors.install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    if settings.origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.origins, allow_methods=["*"], allow_headers=["*"])
    app.add_middleware(Guard, settings=settings, metrics=state.metrics)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app


async def _load(state: State) -> None:
    try:
        state.service = await asyncio.to_thread(build, state.settings)
    except Exception as error:
        state.failed = error
        known = isinstance(error, FarspanError | OSError)
        logging.getLogger("farspan.server").error("%s", error, exc_info=None if known else error)
