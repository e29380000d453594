"""Errors as OpenAI's clients read them: a status, and `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from farspan.errors import FarspanError, SessionError, StorageFull, is_full
from farspan.server.asked import ContextLengthExceeded, Loading, NotFound, TooLarge
from farspan.server.workers import Busy

_LOG = logging.getLogger("farspan.server")
RETRY_AFTER_S = 5
CLIENT_GONE = 499
_INVALID = "invalid_request_error"
_STATUSES: tuple[tuple[type[FarspanError], int, str, str | None], ...] = (
    (ContextLengthExceeded, 400, _INVALID, "context_length_exceeded"),
    (Loading, 503, "unavailable_error", "loading"),
    (TooLarge, 413, _INVALID, "request_too_large"),
    (NotFound, 404, _INVALID, "not_found"),
    (Busy, 429, "rate_limit_error", "server_busy"),
    (SessionError, 409, _INVALID, "session_conflict"),
    (StorageFull, 507, "server_error", "storage_full"),
    (FarspanError, 400, _INVALID, None),
)
_FORM = re.compile(r"(function-\w+|list)\[.*\]", re.DOTALL)
_NO_ROOM = "the server's disk is full, or takes no files as large as this one"
_MAKE_ROOM = "free some space there, and send it again"
_CODES = {401: "invalid_api_key", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}


def body(message: str, kind: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    """An error as JSON."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def described(error: Exception) -> tuple[int, dict[str, Any]]:
    """The status and body of an error; of one that is our own fault no more than that."""
    for kind, status, name, code in _STATUSES:
        if isinstance(error, kind):
            return status, body(str(error), name, code=code)
    if isinstance(error, HTTPException) and isinstance(error.__cause__, OSError):
        return described(error.__cause__)  # the framework's reading of a body, which went by way of a file
    if isinstance(error, HTTPException):
        return error.status_code, body(str(error.detail), _INVALID, code=_CODES.get(error.status_code))
    if is_full(error):
        _LOG.error("there is no room left: %s", error)
        return 507, body(f"{_NO_ROOM}; {_MAKE_ROOM}", "server_error", code="storage_full")
    _LOG.error("a request failed", exc_info=error)
    return 500, body("the server failed at this; its log says how", "server_error", code="internal_error")


def wrong(errors: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Where the first thing is that is wrong, and what: with the form of it that it comes nearest to."""
    first = _place(errors[0])
    same = [error for error in errors if _place(error)[: len(first)] == first]
    nearest = max(same, key=lambda error: (len(_place(error)), not error["type"].endswith("_type")))
    return ".".join(_place(nearest)), str(nearest["msg"])


def _place(error: Mapping[str, Any]) -> list[str]:
    """The names and numbers on the way to what is wrong, without those of the forms that are tried."""
    parts = () if error["type"] == "json_invalid" else error["loc"]
    return [str(part) for part in parts if part != "body" and not _FORM.fullmatch(str(part))]


def install(app: FastAPI) -> None:
    """Have the application answer with them."""

    async def ours(_: Request, error: Exception) -> JSONResponse:
        status, found = described(error)
        headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
        return JSONResponse(found, status, headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        where, what = wrong(error.errors())
        message = f"{where}: {what}" if where else what
        return JSONResponse(body(message, _INVALID, param=where or None, code="invalid_request"), 400)

    async def plain(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        status, found = described(error)
        return JSONResponse(found, status, error.headers)

    app.add_exception_handler(FarspanError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
