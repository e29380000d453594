"""Puts a server's parts together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from farspan import readers
from farspan.engine import load, open_session
from farspan.errors import SessionError
from farspan.folders import hold
from farspan.server.reuse import Reuse
from farspan.server.room import Room
from farspan.server.service import Defaults, Service
from farspan.server.sessions import Sessions
from farspan.server.shelf import Shelf
from farspan.server.turns import Turns
from farspan.types import Budget

PUBLIC = "public"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is begun with.

    `memory` is how many bytes of KV all sessions may take, `disk` how many the texts that are kept for others to go on
    from. `keys` are the API keys; without one everybody is let in. `parallel` requests are worked on at once, `queue`
    more wait, `body` and `upload` bytes may be sent. Clients call the model `name`.
    Pages of other sites may ask if they are among the `origins`; `hosts` are the names that the server goes by, where
    these are checked.
    """

    folder: Path
    model: str | None = None
    name: str | None = None
    dtype: str | None = None
    device: str | None = None
    method: str = "topk"
    budget: str = "512MiB"
    memory: int = 4 << 30
    disk: int = 20 << 30
    keys: tuple[str, ...] = ()
    parallel: int = 8
    queue: int = 64
    body: int = 64 << 20
    upload: int = 1 << 30
    strict: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def owner_of(key: str | None) -> str:
    """The folder name of a key's holder: a hash, so that keys lie nowhere."""
    return PUBLIC if key is None else hashlib.sha256(key.encode()).hexdigest()[:16]


def build(settings: Settings) -> Service:
    """Load the model and take up what earlier runs left.

    Raises MethodError, BudgetError and ModelError for settings that do not go, SessionError where another server has
    the folder.
    """
    defaults = Defaults(
        method=readers.parse_method(settings.method), budget=Budget.parse(settings.budget), strict=settings.strict
    )
    settings.folder.mkdir(parents=True, exist_ok=True)
    lock = hold(settings.folder)
    if lock is None:
        raise SessionError(
            f"another server works in {settings.folder}", fix="end it, or give this one another --folder"
        )
    try:
        return _put_together(settings, defaults, lambda: os.close(lock))
    except BaseException:
        os.close(lock)
        raise


def _put_together(settings: Settings, defaults: Defaults, release: Callable[[], None]) -> Service:
    turns = Turns()
    model = load(settings.model, dtype=settings.dtype, device=settings.device, run=turns.run)
    shelf = Shelf(settings.folder / "read", settings.disk, lambda folder: open_session(folder, model))
    reuse = Reuse(turns, shelf, settings.memory)
    room = Room(turns, settings.memory, reuse.shrink)
    sessions = Sessions(model, turns, reuse, settings.folder / "sessions")
    names = [settings.name or Path(model.name).name, model.name]
    service = Service(model, turns, reuse, room, sessions, defaults, list(dict.fromkeys(names)), release)
    shelf.load(service.root)
    return service
