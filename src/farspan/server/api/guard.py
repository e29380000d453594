"""Before and after every request: who may ask, how much may be sent, headers that keep browsers careful, the log.

The log has method, path, status and time, and nothing of what was said.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farspan.server.api import errors
from farspan.server.api.state import holder, unknown_key
from farspan.server.building import Settings
from farspan.server.metrics import Metrics
from farspan.types import format_bytes

_LOG = logging.getLogger("farspan.server")
_SLACK = 1 << 20
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)


class Guard:
    """An ASGI middleware around all others, so that whatever answers passes through it."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            refused = self._refused(headers)
            await (refused or self._app)(scope, self._counted(scope["path"], headers, receive), headed)
        except Exception as error:
            code, found = errors.described(error)
            if not status:
                await JSONResponse(found, code)(scope, receive, headed)
        finally:
            self._metrics.ended(status or errors.CLIENT_GONE)
            took = time.perf_counter() - began
            _LOG.info("%s %s %d %.3fs", scope["method"], quote(scope["path"]), status or errors.CLIENT_GONE, took)

    def _refused(self, headers: Mapping[bytes, str]) -> JSONResponse | None:
        """What to answer to a request that is not meant for this server, or that a page of another site sends."""
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self._settings.hosts and _name(f"//{host}") not in self._settings.hosts:
            known = ", ".join(self._settings.hosts)
            return _refusal(400, f"{host[:80]!r} is no name of this server, which goes by {known}", "unknown_host")
        if origin is None or origin in self._settings.origins or (host and origin.partition("://")[2] == host):
            return None
        return _refusal(403, "a page of another site asks this: begin the server with --origin to let it", "forbidden")

    def _counted(self, path: str, headers: Mapping[bytes, str], receive: Receive) -> Receive:
        """Receives a body as long as it may be, and none from who has no key."""
        upload = path == "/v1/files"
        most = self._settings.upload + _SLACK if upload else self._settings.body
        received, declared = 0, headers.get(b"content-length", "")

        async def counted() -> Message:
            nonlocal received
            if holder(self._settings.keys, headers.get(b"authorization", "")) is None:
                raise unknown_key()
            message = await receive()
            received += len(message.get("body", b""))
            if received > most or (declared.isdecimal() and int(declared[:20]) > most):
                raise HTTPException(
                    413,
                    f"the request has more than {format_bytes(most)}: send the text in parts, "
                    f"or begin the server with a larger {'--upload' if upload else '--body'}",
                    {"Connection": "close"},
                )
            return message

        return counted


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _refusal(status: int, message: str, code: str) -> JSONResponse:
    return JSONResponse(errors.body(message, "invalid_request_error", code=code), status, {"Connection": "close"})
