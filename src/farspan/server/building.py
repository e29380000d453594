"""Puts a server's parts together."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from farspan import readers
from farspan.engine import Model, load, open_session
from farspan.errors import SessionError
from farspan.folders import hold
from farspan.process import most_open_files
from farspan.server.choosing import Defaults
from farspan.server.reuse import Reuse
from farspan.server.room import Room
from farspan.server.service import Service
from farspan.server.sessions import Sessions
from farspan.server.shelf import Shelf
from farspan.server.turns import Turns
from farspan.types import Budget

PUBLIC = "public"
_MOST_KEPT_FILES = 32_768  # a system has limits for memory maps too, and each belongs to a file


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


def defaults_of(settings: Settings) -> Defaults:
    """What requests get that name nothing else. Raises MethodError and BudgetError."""
    method, budget = readers.parse(settings.method), Budget.parse(settings.budget)
    return Defaults(method=method, budget=budget, strict=settings.strict)


def build(settings: Settings) -> Service:
    """Load the model and take up what earlier runs left.

    Raises MethodError, BudgetError and ModelError for settings that do not go, SessionError where another server has
    the folder.
    """
    defaults_of(settings)
    settings.folder.mkdir(parents=True, exist_ok=True)
    lock = hold(settings.folder)
    if lock is None:
        raise SessionError(
            f"another server works in {settings.folder}", fix="end it, or give this one another --folder"
        )
    try:
        turns = Turns()
        model = load(settings.model, dtype=settings.dtype, device=settings.device, runner=turns)
        return assemble(model, turns, settings, lambda: os.close(lock))
    except BaseException:
        os.close(lock)
        raise


def assemble(model: Model, turns: Turns, settings: Settings, closed: Callable[[], None] = lambda: None) -> Service:
    """The service over a model whose steps run by these turns; `closed` is called when it has been closed."""
    shelf = Shelf(settings.folder / "read", settings.disk, lambda folder: open_session(folder, model))
    room = Room(turns, settings.memory, _kept_files())
    reuse = Reuse(turns, room, shelf)
    sessions = Sessions(model, turns, room, reuse, settings.folder / "sessions")
    names = [settings.name or Path(model.name).name, model.name]
    service = Service(model, turns, reuse, room, sessions, defaults_of(settings), list(dict.fromkeys(names)), closed)
    sessions.sweep()
    shelf.load(service.root)
    return service


def _kept_files() -> int:
    """How many file descriptors may be kept for later; as many are left for what is worked on."""
    most = most_open_files()
    return _MOST_KEPT_FILES if most is None else min(_MOST_KEPT_FILES, most // 2)
