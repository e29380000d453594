"""The OpenAPI document, with the errors that every route may answer with."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

_ERRORS = {
    "400": "The request cannot be understood or met",
    "401": "An API key is missing or wrong",
    "403": "A page of another site asks",
    "404": "There is no such thing, or it is another key's",
    "409": "The session is in use, or its name is taken",
    "413": "The request is too large",
    "429": "Too many requests wait; Retry-After says when to come again",
    "503": "The model is still loading",
    "507": "The disk or the budget's tiers are full",
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def openapi(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        schemas["Error"] = _ERROR
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
                for status, description in _ERRORS.items():
                    operation["responses"].setdefault(status, {"description": description, "content": content})
        app.openapi_schema = document
    return app.openapi_schema
