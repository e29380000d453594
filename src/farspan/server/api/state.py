"""What the routes share, and who asks."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Self

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPBearer

from farspan.errors import FarspanError
from farspan.server.asked import Loading
from farspan.server.building import PUBLIC, Settings, build, owner_of
from farspan.server.files import Files
from farspan.server.metrics import Metrics
from farspan.server.responses import Responses
from farspan.server.service import Service
from farspan.server.workers import Workers


@dataclass(slots=True)
class State:
    """The server's parts; `service` is None while the model loads, and `failed` says why it cannot be."""

    settings: Settings
    workers: Workers
    files: Files
    responses: Responses
    metrics: Metrics
    service: Service | None = None
    failed: Exception | None = None
    loaded: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The parts of a server that is begun with these settings."""
        return cls(
            settings=settings,
            workers=Workers(settings.parallel, settings.queue),
            files=Files(settings.folder / "files", settings.upload),
            responses=Responses(settings.folder / "responses"),
            metrics=Metrics(),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the model beside what is done in here, and close everything in the end."""
        loading = asyncio.create_task(self._load())
        try:
            yield
        finally:
            await loading
            self.workers.close()
            if self.service is not None:
                self.service.close()

    async def ready(self) -> Service:
        """The service, as soon as the model is loaded. Raises Loading where it cannot be."""
        await self.loaded.wait()
        if self.service is None:
            raise Loading(f"the model cannot be loaded: {self.failed}")
        return self.service

    async def _load(self) -> None:
        try:
            service = await asyncio.to_thread(build, self.settings)
            await asyncio.to_thread(self.files.sweep)  # the folder is this server's alone
            self.service = service
        except Exception as error:
            self.failed = error
            known = isinstance(error, FarspanError | OSError)
            logging.getLogger("farspan.server").error("%s", error, exc_info=None if known else error)
        finally:
            self.loaded.set()


def state_of(request: Request) -> State:
    """The state of the application that got this request."""
    state: State = request.app.state.farspan
    return state


def service_of(request: Request) -> Service:
    """The service, once the model is loaded. Raises Loading until then."""
    service = state_of(request).service
    if service is None:
        failed = state_of(request).failed
        said = "the model is still loading" if failed is None else f"the model cannot be loaded: {failed}"
        raise Loading(said, fix="GET /health says when it is there")
    return service


_BEARER = HTTPBearer(auto_error=False, description="One of the keys that the server was begun with.")


def holder(keys: Sequence[str], authorization: str) -> str | None:
    """Whose a request with this Authorization header is; None where there are keys and it holds none of them."""
    if not keys:
        return PUBLIC
    scheme, _, given = authorization.partition(" ")
    matches = [hmac.compare_digest(key.encode(), given.strip().encode()) for key in keys]
    return owner_of(given.strip()) if any(matches) and scheme.lower() == "bearer" else None


def unknown_key() -> HTTPException:
    """What is answered to a request without one of the keys."""
    return HTTPException(401, "this server wants an API key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})


def owner(request: Request, _: Annotated[object, Depends(_BEARER)]) -> str:
    """Whose the request is. Answers 401 where the server has keys and this is none of them."""
    found = holder(state_of(request).settings.keys, request.headers.get("authorization", ""))
    if found is None:
        raise unknown_key()
    return found


Owner = Annotated[str, Depends(owner)]
TheState = Annotated[State, Depends(state_of)]
TheService = Annotated[Service, Depends(service_of)]
