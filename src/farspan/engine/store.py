"""A session's folder: what was committed, in files that a crash at any moment leaves whole.

    session.json                what the session is and how far it has come; names the state file
    state-<n>-<i>.safetensors   sinks and recent tokens after n tokens; two commits never have one name
    layers/                     the blocks of every layer, append-only
    text/                       text and tokens, append-only

A commit writes the new state beside the old one and then replaces `session.json`, which decides which state counts and
how much of the append-only files does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from farspan.errors import SessionError, StorageFull, is_full
from farspan.folders import hold

VERSION = 5
_INDEX = "session.json"
_SHARE = 10


class Pace:
    """Says when the next commit is due: when commits then take no more than a tenth of the time."""

    def __init__(self) -> None:
        self._cost = self._ended = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time."""
        return time.perf_counter() - self._ended >= _SHARE * self._cost

    @contextmanager
    def paid(self) -> Iterator[None]:
        """Commit in here."""
        began = time.perf_counter()
        yield
        self._ended = time.perf_counter()
        self._cost = self._ended - began


class Store:
    """One session's folder, held by one process at a time. `pace` is how often it is committed."""

    def __init__(self, folder: Path, *, new: bool) -> None:
        self.folder = folder = folder.absolute()
        exists = (folder / _INDEX).is_file()
        if new and exists:
            raise SessionError(f"there is a session in {folder} already", fix="open it, or choose another folder")
        if not new and not exists:
            raise SessionError(f"there is no session in {folder}", fix="see: farspan sessions")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SessionError(f"{folder} cannot be a folder: a file is in its place", fix="name another") from error
        lock = hold(folder)
        if lock is None:
            raise SessionError(f"the session in {folder} is in use", fix="wait for the other process")
        self._lock = lock
        self.pace = Pace()

    def commit(self, plain: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Make this the state that `load` gives. Raises StorageFull, and the state before still counts."""
        old = {path.name for path in self.folder.glob("state-*.safetensors")}
        seen = plain["counts"]["seen"]
        name = next(name for again in count() if (name := f"state-{seen}-{again}.safetensors") not in old)
        fresh, index = self.folder / f"{name}.new", self.folder / f"{_INDEX}.new"
        try:
            save_file({key: value.contiguous() for key, value in tensors.items()}, fresh)
            index.write_text(json.dumps({"version": VERSION, "state": name, **plain}, indent=1), encoding="utf-8")
        except (OSError, SafetensorError) as error:
            fresh.unlink(missing_ok=True)
            index.unlink(missing_ok=True)
            if is_full(error):
                raise StorageFull(
                    f"the disk under {self.folder} is full; the session stands at its last commit",
                    fix="free some space and go on",
                ) from error
            raise
        fresh.replace(self.folder / name)
        index.replace(self.folder / _INDEX)
        for stale in old:
            (self.folder / stale).unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The last commit. Raises SessionError when its files are damaged."""
        path = self.folder / _INDEX
        try:
            plain = json.loads(path.read_text(encoding="utf-8"))
            path = self.folder / plain["state"]
            tensors = load_file(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise SessionError(
                f"{path} is damaged or missing ({error})",
                fix=f"restore {self.folder} from a copy, or remove it and read the text again",
            ) from error
        if plain.get("version") != VERSION:
            raise SessionError(
                f"the session in {self.folder} has version {plain.get('version')}, and this farspan reads {VERSION}",
                fix="use the farspan that wrote it, or read the text again",
            )
        return plain, tensors

    def close(self) -> None:
        """Let other processes have it."""
        os.close(self._lock)
