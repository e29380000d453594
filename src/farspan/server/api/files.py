"""`/v1/files`: files that are read into sessions or put into messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import FileResponse

from farspan.server.api.state import Owner, TheState

router = APIRouter(tags=["files"])
_PIECE = 1 << 20


@router.post("/v1/files")
async def upload(
    file: UploadFile, owner: Owner, state: TheState, purpose: Annotated[str, Form()] = "user_data"
) -> dict[str, Any]:
    """Take in a file of any format that farspan reads: text, Markdown, HTML, PDF, EPUB, DOCX, source code."""

    async def pieces() -> AsyncIterator[bytes]:
        while piece := await file.read(_PIECE):
            yield piece

    return asdict(await state.files.add(owner, file.filename or "file", purpose, pieces()))


@router.get("/v1/files")
def list_files(owner: Owner, state: TheState) -> dict[str, Any]:
    """The files that were uploaded, the latest first."""
    return {"object": "list", "data": [asdict(file) for file in state.files.all(owner)], "has_more": False}


@router.get("/v1/files/{id}")
def get(id: str, owner: Owner, state: TheState) -> dict[str, Any]:
    """One file."""
    return asdict(state.files.get(owner, id))


@router.get("/v1/files/{id}/content", response_class=FileResponse)
def content(id: str, owner: Owner, state: TheState) -> FileResponse:
    """A file as it was uploaded."""
    stored = state.files.get(owner, id)
    return FileResponse(state.files.path(owner, id), media_type="application/octet-stream", filename=stored.filename)


@router.get("/v1/files/{id}/text")
def text(id: str, owner: Owner, state: TheState, start: int = 0, end: int | None = None) -> dict[str, Any]:
    """The characters `[start, end)` of what is read of a file, as sources count them."""
    document = state.files.document(owner, id)
    whole = "".join(document.pieces())
    return {
        "id": id,
        "file": document.name,
        "chars": len(whole),
        "start": max(start, 0),
        "text": whole[max(start, 0) : end],
    }


@router.delete("/v1/files/{id}")
def delete(id: str, owner: Owner, state: TheState) -> dict[str, Any]:
    """Remove a file; what has read it still knows it."""
    state.files.delete(owner, id)
    return {"id": id, "object": "file", "deleted": True}
