"""The application: its routes, what loads the model beside them, and what all replies have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Route

import farspan
from farspan.server.api import chat, completions, errors, files, info, page, responses, sessions, tokens
from farspan.server.api.guard import Guard
from farspan.server.api.schema import openapi
from farspan.server.api.state import State
from farspan.server.building import Settings
from farspan.server.mcp.http import Endpoint

_ROOMS = (info, chat, completions, responses, files, sessions, tokens, page)


def create(settings: Settings) -> FastAPI:
    """The application. The model is loaded while /health says 503."""
    state = State.of(settings)
    mcp = Endpoint(state)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with state.running(), mcp.running():
            yield

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
    app.router.routes.append(Route("/mcp", mcp, include_in_schema=False))
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Mcp-Session-Id"],
        )
    app.add_middleware(Guard, settings=settings, metrics=state.metrics)
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    return app
