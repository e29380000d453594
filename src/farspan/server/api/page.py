"""The web page at `/`."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, HTTPException, Response

router = APIRouter(include_in_schema=False)
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/")
def page() -> Response:
    """The page itself."""
    return asset("index.html")


@router.get("/web/{name}")
def asset(name: str) -> Response:
    """A file of the page. Answers 404 to a name that is none."""
    known = {path.name: path for path in files("farspan.server.web").iterdir()}
    kind = _KINDS.get(name[name.rfind(".") :])
    if kind is None or name not in known:
        raise HTTPException(404, "there is no such page")
    return Response(known[name].read_bytes(), media_type=f"{kind}; charset=utf-8")
