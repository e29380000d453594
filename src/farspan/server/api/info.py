"""`/health`, `/metrics` and `/v1/models`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from farspan import readers
from farspan.server.api import errors
from farspan.server.api.state import Owner, TheService, TheState
from farspan.server.asked import NotFound
from farspan.server.service import Service

router = APIRouter(tags=["server"])


@router.head("/health", include_in_schema=False)
@router.get("/health")
def health(state: TheState) -> Response:
    """200 once the model is there; 503 while it loads."""
    if state.service is not None:
        return JSONResponse({"status": "ok"})
    said = "loading model" if state.failed is None else f"the model cannot be loaded: {state.failed}"
    return JSONResponse(errors.body(said, "unavailable_error", code="loading"), 503, {"Retry-After": "5"})


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(state: TheState, _: Owner) -> Response:
    """Counters for Prometheus."""
    return Response(state.metrics.text(state.workers, state.service), media_type=CONTENT_TYPE_LATEST)


@router.get("/v1/models")
def models(service: TheService, _: Owner) -> dict[str, Any]:
    """The model that is served."""
    return {"object": "list", "data": [_described(service)]}


@router.get("/v1/models/{name:path}")
def model(name: str, service: TheService, _: Owner) -> dict[str, Any]:
    """The model that is served, by its name. Answers 404 to another."""
    check_model(name, service)
    return _described(service)


@router.get("/v1/methods")
def listed_methods(_: Owner) -> dict[str, Any]:
    """The methods that a request may choose, each with what it does with what does not fit."""
    cards = [{"id": card.name, "what_does_not_fit": card.overflow, "idea": card.idea} for card in readers.cards()]
    return {"object": "list", "data": cards}


def check_model(name: str | None, service: Service) -> None:
    """Raise NotFound for a model that is not the one served."""
    if name is not None and name not in service.names:
        known = ", ".join(service.names)
        raise NotFound(f"there is no model {name[:80]!r}", fix=f"this server has {known}")


def _described(service: Service) -> dict[str, Any]:
    defaults = service.defaults
    return {
        "id": service.names[0],
        "object": "model",
        "created": service.begun,
        "owned_by": "farspan",
        "context": {
            "method": str(defaults.method),
            "budget": str(defaults.budget),
            "native_length": service.model.window,
            "kv_bytes_per_token": service.model.kv_bytes_per_token,
        },
    }
