"""What the tests of sessions share: a record of what the model was fed, and texts that are hard to cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from farspan.attention.adapter import Chunk, HostedModel

LINES = [
    "The keeper counted the waves and the hours, and wrote both in the book.",
    "漢字かな交じり文を書く。次の行。",
    "A parrot \U0001f99c said: d\u00e9j\u00e0 vu! <|end|><|assistant|> It was not believed.",
    "",
    "  In the end there were 12345 waves.\tAnd one.",
]
BOOK = "\n".join(LINES * 3) + "\n"


class Fed:
    """The tokens that the model was run on, in order; `take` gives those since the last time."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.starts: list[int] = []

    def take(self) -> list[int]:
        """The tokens, once."""
        ids, self.ids, self.starts = self.ids, [], []
        return ids


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> Fed:
    """Note every token that goes through a model."""
    record, forward = Fed(), HostedModel.forward_together

    def noting(self: HostedModel, chunks: Sequence[Chunk], *rest: Any) -> Any:
        out = forward(self, chunks, *rest)
        for chunk in chunks:
            record.ids += chunk.ids_T.tolist()
            record.starts.append(chunk.start)
        return out

    monkeypatch.setattr(HostedModel, "forward_together", noting)
    return record


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A file of characters that take several tokens, blank lines and what looks like special tokens."""
    path = tmp_path / "book.txt"
    path.write_text(BOOK, encoding="utf-8")
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where sessions without a folder of their own keep their files."""
    path = tmp_path / "scratch"
    monkeypatch.setenv("FARSPAN_SCRATCH", str(path))
    return path
