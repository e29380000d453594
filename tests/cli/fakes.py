"""A model and a session that answer at once, to test the command line without running a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farspan.errors import BudgetError, SessionError
from farspan.text import Document
from farspan.types import Budget, Counts, Progress, Source, Usage


class FakeAnswer:
    """Streams fixed pieces; `stop_after` pieces in, Ctrl-C is pressed."""

    def __init__(self, pieces: list[str], sources: list[Source], counts: Counts, stop_after: int | None = None) -> None:
        self.pieces = pieces
        self.sources = sources
        self.counts = counts
        self.closed = False
        self.stop_after = stop_after
        self.text = ""
        self.ids = [1, 2, 3]
        self.usage = Usage(context_tokens=100, prompt_tokens=10, completion_tokens=3)

    def __iter__(self) -> Iterator[str]:
        for number, piece in enumerate(self.pieces):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.text += piece
            yield piece

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeSession:
    """Counts a token for every word read; a file named `interrupt*` is as if Ctrl-C came while it was read."""

    model: FakeModel
    method: Any
    budget: Budget
    path: Path | None = None
    files: list[Any] = field(default_factory=list)
    reads: list[Any] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    seen: int = 0
    closed: bool = False

    @property
    def counts(self) -> Counts:
        kept = min(self.seen, 8)
        tiers = {"device": 32 << 20, "host": 0, "disk": 1 << 30}
        stored = self.seen - kept
        return Counts(seen=self.seen, kept=kept, stored=stored, fetched=4, exact=False, kv_bytes=tiers)

    def read(self, source: Document, progress: Any = None) -> None:
        self.reads.append(source.name)
        self.seen += len("".join(source.pieces()).split())
        if progress:
            state = {"chars": 5, "total_chars": 10, "seconds": 1.0, "counts": self.counts}
            progress(Progress(file=source.name, tokens=self.seen, **state))
        complete = not Path(source.name).name.startswith("interrupt")
        self.files.append({"file": source.name, "fingerprint": source.fingerprint, "complete": complete})
        self.commit()
        if not complete:
            raise KeyboardInterrupt

    def ask(self, question: str, **how: Any) -> FakeAnswer:
        self.asked.append((question, how))
        source = Source(file="book.txt", start=10, end=30, line=2, text="the key\nis  42", weight=0.75)
        stop_after = 1 if question == "interrupt" else None
        pieces = [" "] if question == "nothing" else ["The key ", "is ", "42."]
        return FakeAnswer(pieces, [source] if self.files else [], self.counts, stop_after)

    chat = ask

    def fork(self) -> FakeSession:
        return FakeSession(self.model, self.method, self.budget, None, list(self.files), seen=self.seen)

    def save(self, path: Path) -> None:
        self.path = path
        self.commit()

    def commit(self) -> None:
        if self.path is None:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        record = {
            "model": None,
            "method": str(self.method),
            "budget": str(self.budget),
            "counts": self.counts.as_dict(),
            "files": self.files,
        }
        (self.path / "session.json").write_text(json.dumps(record))

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeModel:
    """Makes sessions and remembers them; a device budget below 1 KiB cannot be met."""

    dtype = "float32"
    arguments: dict[str, Any] = field(default_factory=dict)
    sessions: list[FakeSession] = field(default_factory=list)

    def load(self, name_or_path: str | None = None, **arguments: Any) -> FakeModel:
        self.arguments = {"name": name_or_path, **arguments}
        return self

    def session(self, method: Any = None, budget: Any = None, path: Path | None = None) -> FakeSession:
        device = budget.device
        if device is not None and device.in_bytes(1024) < 1024:
            raise BudgetError(f"a budget of {device} is below one chunk, 1KiB", fix="--budget 1KiB or more")
        self.sessions.append(FakeSession(self, method, budget, path))
        return self.sessions[-1]

    def open(self, path: Path, model: str | None = None, *, device: str | None = None) -> FakeSession:
        try:
            record = json.loads((path / "session.json").read_text())
        except ValueError:
            raise SessionError(f"{path} is truncated", fix=f"remove it: farspan sessions rm {path.name}") from None
        self.arguments = {"name": model, "device": device}
        session = FakeSession(self, record["method"], Budget.parse(record["budget"]), path, record["files"])
        session.seen = record["counts"]["seen"]
        self.sessions.append(session)
        return session
