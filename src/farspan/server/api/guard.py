"""Before and after every request: how large it may be, headers that keep browsers careful, a line in the log.

The log has method, path, status and time, and nothing of what was said.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from farspan.server.api import errors
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


class _TooLarge(Exception):
    """More was sent than may be."""


class Guard:
    """An ASGI middleware."""

    def __init__(
        self, app: ASGIApp, most_body: int, most_upload: int, origins: Sequence[str], metrics: Metrics
    ) -> None:
        self._app = app
        self._origins = origins
        self._most_body = most_body
        self._most_upload = most_upload + _SLACK
        self._metrics = metrics

    def _is_welcome(self, headers: Mapping[bytes, str]) -> bool:
        """Whether a browser sends this from a page of this server, or of a site that was allowed."""
        origin = headers.get(b"origin")
        return origin is None or origin in self._origins or urlsplit(origin).netloc == headers.get(b"host")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 499
        most = self._most_upload if scope["path"] == "/v1/files" else self._most_body
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise _TooLarge
            return message

        async def headed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            if not self._is_welcome(headers):
                await _refuse(
                    headed,
                    403,
                    "a page of another site asks this: begin the server with --origin to let it",
                    "forbidden",
                )
                return
            if _length(headers) > most:
                raise _TooLarge
            await self._app(scope, counted, headed)
        except _TooLarge:
            message = f"the request has more than {format_bytes(most)}; upload the text in files, or raise --body"
            await _refuse(headed, 413, message, "request_too_large")
        finally:
            self._metrics.ended(status)
            _LOG.info("%s %s %d %.3fs", scope["method"], scope["path"], status, time.perf_counter() - began)


def _length(headers: Mapping[bytes, str]) -> int:
    value = headers.get(b"content-length", "0")
    return int(value) if value.isascii() and value.isdigit() else 0


async def _refuse(send: Send, status: int, message: str, code: str) -> None:
    body = json.dumps(errors.body(message, "invalid_request_error", code=code)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
