"""Sessions with a name: they lie in a folder each, read texts one after the other, and outlive the server."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from farspan import readers
from farspan.engine import Model, Session
from farspan.errors import SessionError, UsageError
from farspan.methods import Method
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Answered, NotFound
from farspan.server.held import Held
from farspan.server.lines import note, noted
from farspan.server.prefixes import Node
from farspan.server.reuse import Reuse
from farspan.server.room import Kept, Room
from farspan.server.turns import Turns
from farspan.server.whole import made, remove, sweep
from farspan.text import Document, documents, unread
from farspan.types import Budget, ProgressCallback

_ABOUT, _TURNS = "about.json", "turns.jsonl"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(slots=True)
class Named:
    """An open session, what is asked behind it, and whether it is being changed."""

    held: Held[Any]
    folder: Path
    root: Node
    changing: Event | None = None
    used: float = field(default_factory=time.monotonic)

    @property
    def session(self) -> Session | ReaderSession:
        """The session itself."""
        session: Session | ReaderSession = self.held.session
        return session

    @property
    def idle(self) -> bool:
        """Whether nobody changes it, works on it or depends on it."""
        return self.changing is None and self.held.holders == 2


@dataclass(slots=True)
class Turn:
    """A message that is put to a session, and its answer as soon as there is any of it."""

    message: str
    answered: Answered | None = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """What is noted of it: the message, and the answer with its account; one broken off is not `complete`."""
        yield {"role": "user", "content": self.message}
        if self.answered is not None:
            context = self.answered.context()
            sources = context.pop("sources")
            account = {"complete": self.answered.stopped, "context": context, "sources": sources}
            yield {"role": "assistant", "content": self.answered.text, **account}


class Sessions:
    """All sessions with a name, under `folder`, those of an owner in a folder of theirs."""

    def __init__(self, model: Model, turns: Turns, room: Room, reuse: Reuse, folder: Path) -> None:
        self.folder = folder
        self._model = model
        self._turns = turns
        self._reuse = reuse
        self._open: dict[Path, Named] = {}
        self._answered: dict[Path, Answered] = {}
        self._room = room
        self._begun = time.time()
        room.keepers.append(self.kept)

    def names(self, owner: str) -> list[str]:
        """The sessions of an owner."""
        folder = self.folder / owner
        names = (path.parent.name for path in folder.glob(f"*/{_ABOUT}"))
        return sorted(name for name in names if _NAME.fullmatch(name))

    def create(self, owner: str, name: str | None, method: Method | Reader, budget: Budget) -> str:
        """Begin a session. Raises SessionError where the name is taken, UsageError where it is none."""
        name = name or uuid.uuid4().hex[:12]
        folder = self._place(owner, name)
        self._check_free(folder, name)
        with made(folder) as fresh:
            readers.begin_session(self._model, method, budget, fresh).close()
            (fresh / _ABOUT).write_text(json.dumps({"created": int(time.time())}), encoding="utf-8")
        return name

    def get(self, owner: str, name: str) -> Named:
        """The session of this name. Raises NotFound."""
        folder = self._place(owner, name)
        if folder in self._open:
            self._open[folder].used = time.monotonic()
            return self._open[folder]
        self.check(owner, name)
        return self._opened(folder, readers.open_session(folder, self._model))

    def has(self, owner: str, name: str) -> bool:
        """Whether there is a session of this name. Raises UsageError where it is none."""
        return (self._place(owner, name) / _ABOUT).is_file()

    def check(self, owner: str, name: str) -> None:
        """Raise NotFound where there is no such session."""
        if not self.has(owner, name):
            raise NotFound(f"there is no session {name!r}", fix="GET /v1/sessions lists those that there are")

    def describe(self, owner: str, name: str) -> dict[str, Any]:
        """A session as plain values."""
        named = self.get(owner, name)
        session = named.session
        about = json.loads((named.folder / _ABOUT).read_text(encoding="utf-8"))
        return {
            "id": name,
            "object": "session",
            "created": about["created"],
            "method": str(session.method),
            "budget": str(session.budget),
            "files": session.files,
            "context": session.counts.as_dict(),
            "busy": named.changing is not None,
        }

    def read(
        self, owner: str, name: str, source: Document | Path, progress: ProgressCallback, *, once: bool = False
    ) -> None:
        """Read a text, or a file or folder, into a session. One that was broken off is read on.

        With `once` what was read to its end is not read again.
        """
        with self._changing(owner, name, lambda session: session.reading_takes) as named:
            session = named.session
            for document in unread(documents(source), session.files if once else ()):
                session.read(document, progress)

    def note(self, owner: str, name: str, answered: Answered) -> None:
        """Remember the last answer from a session."""
        self._answered[self._place(owner, name)] = answered

    def answered(self, owner: str, name: str) -> Answered:
        """The last answer from a session. Raises NotFound."""
        folder = self._place(owner, name)
        if folder not in self._answered:
            raise NotFound(f"nothing was asked of session {name!r} since the server began", fix="ask first")
        return self._answered[folder]

    def quote(self, owner: str, name: str, file: str, start: int, end: int | None) -> str:
        """Characters of a text that a session has read. Raises NotFound, and InputError for a text it has not."""
        return self.get(owner, name).session.quote(file, start, end)

    def turns(self, owner: str, name: str) -> list[dict[str, Any]]:
        """The messages and answers that were kept in a session."""
        self.check(owner, name)
        return noted(self._place(owner, name) / _TURNS)

    @contextmanager
    def chatting(self, owner: str, name: str, message: str) -> Iterator[tuple[Session | ReaderSession, Turn]]:
        """A session to put a message to. What stays of the turn there is noted in the end, also when it fails."""
        turn = Turn(message)
        with self._changing(owner, name, lambda session: session.asking_takes) as named:
            session = named.session
            before = session.counts.seen
            try:
                yield session, turn
            finally:
                if turn.answered is not None or session.counts.seen > before:
                    note(named.folder / _TURNS, turn.lines())

    def fork(self, owner: str, name: str, new: str | None) -> str:
        """A copy under another name. Raises SessionError where that is taken."""
        named, new = self.get(owner, name), new or uuid.uuid4().hex[:12]
        folder = self._place(owner, new)
        self._check_free(folder, new)
        with made(folder) as fresh:
            named.session.save(fresh)
            for file in (_TURNS, _ABOUT):
                if (named.folder / file).is_file():
                    shutil.copy(named.folder / file, fresh / file)
        return new

    def save(self, owner: str, name: str) -> None:
        """Write it to disk as it is now."""
        self.get(owner, name).session.commit()

    def delete(self, owner: str, name: str) -> None:
        """Remove a session. Raises SessionError while it is being changed or answered from."""
        self.check(owner, name)
        folder = self._place(owner, name)
        named = self._open.get(folder)
        if named is not None:
            if named.changing is None:
                self._reuse.drop(named.root)
            if not named.idle:
                raise SessionError(f"session {name!r} is in use", fix="wait until what reads it or asks it has ended")
            self._forget(named)
        self._answered.pop(folder, None)
        remove(folder)

    def sweep(self) -> None:
        """Remove what is left of sessions that another process was killed over."""
        sweep(self.folder, _ABOUT, self._begun)

    def kept(self) -> Iterator[Kept]:
        """The open sessions; those that nobody works on are free to be closed, and lie in their folders then."""
        for named in list(self._open.values()):
            size = named.session.own_bytes, named.session.open_files
            yield Kept(named.used, *size, partial(self._forget, named), named.idle)

    def close(self) -> None:
        """Close all of them; they stay in their folders."""
        for named in list(self._open.values()):
            self._reuse.close(named.root)
            self._forget(named)

    @contextmanager
    def using(self, owner: str, name: str) -> Iterator[Named]:
        """Have a session that stays open meanwhile. Raises NotFound."""
        named = self.get(owner, name)
        named.held.hold()
        try:
            yield named
        finally:
            named.held.release()

    @contextmanager
    def _changing(self, owner: str, name: str, takes: Callable[[Session | ReaderSession], int]) -> Iterator[Named]:
        """Have a session for oneself, and room for what it takes. What was asked behind it no longer goes then."""
        while (named := self.get(owner, name)).changing is not None:
            self._turns.wait(named.changing)
        named.changing = Event()
        try:
            with self._room.taking(takes(named.session)):
                yield named
        finally:
            named.changing.set()
            named.changing = None
            self._reuse.drop(named.root)

    def _opened(self, folder: Path, session: Session | ReaderSession) -> Named:
        held: Held[Any] = Held(session)
        self._open[folder] = Named(held, folder, Node(held=held.hold()))
        return self._open[folder]

    def _forget(self, named: Named) -> None:
        del self._open[named.folder]
        named.root.held = None
        named.held.release()
        named.held.release()

    def _check_free(self, folder: Path, name: str) -> None:
        if folder.exists():
            raise SessionError(f"there is a session {name!r} already", fix="choose another name")

    def _place(self, owner: str, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{name[:80]!r} cannot name a session", fix="use up to 64 letters, digits, dots, dashes and underscores"
            )
        return self.folder / owner / name
