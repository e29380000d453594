"""Responses that were stored, so that another can go on from them."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

from farspan.folders import write_whole
from farspan.server.asked import NotFound

_ID = re.compile(r"resp_[0-9a-f]{32}")


class Responses:
    """One JSON file for each under its owner's folder: what was answered, and the messages up to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @staticmethod
    def new_id() -> str:
        """An id that no response has yet."""
        return f"resp_{uuid.uuid4().hex}"

    def put(self, owner: str, response: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        """Store a response and the messages up to it, its own included."""
        folder = self.folder / owner
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{response['id']}.json", json.dumps({"response": response, "messages": messages}))

    def get(self, owner: str, id_: str) -> dict[str, Any]:
        """The response as it was given. Raises NotFound."""
        response: dict[str, Any] = self._stored(owner, id_)["response"]
        return response

    def messages(self, owner: str, id_: str) -> list[dict[str, Any]]:
        """The messages up to a response, its own the last. Raises NotFound."""
        messages: list[dict[str, Any]] = self._stored(owner, id_)["messages"]
        return messages

    def delete(self, owner: str, id_: str) -> None:
        """Remove a response. Raises NotFound."""
        self._stored(owner, id_)
        self._path(owner, id_).unlink(missing_ok=True)

    def _stored(self, owner: str, id_: str) -> dict[str, Any]:
        path = self._path(owner, id_)
        if not _ID.fullmatch(id_) or not path.is_file():
            raise NotFound(f"there is no response {id_[:80]!r}", fix="send the messages themselves")
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored

    def _path(self, owner: str, id_: str) -> Path:
        return self.folder / owner / f"{id_}.json"
