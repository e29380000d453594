"""Messages as clients send them become those that the model reads."""

from __future__ import annotations

from collections.abc import Sequence

from farspan.engine.conversation import Message, Passage
from farspan.errors import InputError
from farspan.server.api.bodies import ContentPart
from farspan.server.files import Files

_ROLES = {"developer": "system"}


def message(files: Files, owner: str, role: str, content: str | Sequence[ContentPart] | None, number: int) -> Message:
    """A message; sources call it by its number, and a file in it by the file's name."""
    name = None if role == "assistant" else f"message {number}"
    parts = [Passage(content or "", name)] if content is None or isinstance(content, str) else []
    for part in () if content is None or isinstance(content, str) else content:
        parts.append(_passage(files, owner, part, name))
    said = tuple(part for part in parts if part.text)
    if not said and role != "assistant":
        raise InputError(f"message {number} is empty", fix="give it text or a file")
    return Message(_ROLES.get(role, role), said or (Passage(""),))


def _passage(files: Files, owner: str, part: ContentPart, name: str | None) -> Passage:
    file_id = part.file_id or (part.file.file_id if part.file is not None else None)
    if file_id is not None:
        document = files.document(owner, file_id)
        return Passage("".join(document.pieces()), document.name)
    if part.text is None:
        raise InputError(f"a part of type {part.type!r} has no text and no file", fix="give text, or file_id")
    return Passage(part.text, name)
