"""Responses that were stored, so that another can go on from them."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from farspan.folders import write_whole
from farspan.server.asked import NotFound

_ID = re.compile(r"resp_[0-9a-f]{32}")
_PREVIOUS = "previous"
DAYS = 30
_UNUSED_S, _SWEEP_S = DAYS * 86_400, 3_600


class Responses:
    """One JSON file for each under its owner's folder: what was answered, and the messages since the previous one.

    A response goes `DAYS` days after it was stored, or after it or one behind it was last gone on from.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swept = 0.0

    def put(self, owner: str, response: dict[str, Any], messages: list[dict[str, Any]]) -> None:
        """Store a response and its messages: those that are new since the previous one, and its own the last."""
        folder = self.folder / owner
        folder.mkdir(parents=True, exist_ok=True)
        stored = {"response": response, "messages": messages, _PREVIOUS: response["previous_response_id"]}
        write_whole(folder / f"{response['id']}.json", json.dumps(stored))
        if time.time() - self._swept > _SWEEP_S:
            self.sweep()

    def get(self, owner: str, id_: str) -> dict[str, Any]:
        """The response as it was given. Raises NotFound."""
        response: dict[str, Any] = self._stored(owner, id_)["response"]
        return response

    def messages(self, owner: str, id_: str) -> list[dict[str, Any]]:
        """The messages up to a response, its own the last. Raises NotFound, also where an earlier one is gone."""
        stored = self._stored(owner, id_)
        found, ids = [stored["messages"]], [id_]
        while previous := stored.get(_PREVIOUS):  # those that earlier versions stored have all messages themselves
            try:
                stored = self._stored(owner, previous)
            except NotFound:
                raise NotFound(
                    f"response {id_!r} goes on from {previous!r}, which is no longer there",
                    fix="send the messages themselves",
                ) from None
            found.append(stored["messages"])
            ids.append(previous)
        for one in ids:
            with suppress(FileNotFoundError):
                os.utime(self._path(owner, one))
        return [message for messages in reversed(found) for message in messages]

    def delete(self, owner: str, id_: str) -> None:
        """Remove a response; those that go on from it can be read, and no longer gone on from. Raises NotFound."""
        self._stored(owner, id_)
        self._path(owner, id_).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove those that have not been used for long."""
        self._swept = time.time()
        for path in self.folder.glob("*/resp_*"):
            with suppress(FileNotFoundError):
                if self._swept - path.stat().st_mtime > _UNUSED_S:
                    path.unlink()

    def _stored(self, owner: str, id_: str) -> dict[str, Any]:
        path = self._path(owner, id_)
        if not _ID.fullmatch(id_) or not path.is_file():
            raise NotFound(f"there is no response {id_[:80]!r}", fix="send the messages themselves")
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored

    def _path(self, owner: str, id_: str) -> Path:
        return self.folder / owner / f"{id_}.json"
