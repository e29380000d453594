"""The text that a session has read, on disk, so that it can be quoted by character offset and line.

All documents stand behind one another in one UTF-8 file, and an offset counts characters of that file: a *global*
offset. Every STRIDE characters an index entry notes the byte and the line, so a look-up reads about one stride.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from farspan.errors import StorageFull
from farspan.text.files import AppendFile

STRIDE = 65_536
_TEXT, _INDEX, _DOCUMENTS = "text.utf8", "text.index", "documents.jsonl"


class SpoolDocument(NamedTuple):
    """One document in the spool: global offsets `[start, end)`; `lines` is the number of newlines before it.

    Where it is the rest of a longer text, `offset` characters of that came before, with `newlines` among them.
    """

    name: str
    fingerprint: str
    start: int
    end: int
    lines: int
    offset: int = 0
    newlines: int = 0


class Place(NamedTuple):
    """Where a global offset lies: which document, the offset in its own text, and the 1-based line."""

    document: int
    file: str
    offset: int
    line: int


class TextSpool:
    """An append-only record of text in `folder`; in memory it takes 24 bytes for every 64K characters.

    `TextSpool(folder)` begins a new spool; `TextSpool(folder, state)` opens one as it was when `state_dict()` gave
    `state`, cutting off what was written later (SessionError when the files hold less).
    """

    def __init__(self, folder: Path, state: Mapping[str, Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.chars: int = state["chars"] if state else 0
        self._lines: int = state["lines"] if state else 0
        self._finished: bool = state["finished"] if state else True
        entries = self.chars // STRIDE + 1
        self._text = AppendFile(folder / _TEXT, state["bytes"] if state else None)
        self._index = AppendFile(folder / _INDEX, entries * 16 if state else None)
        self._records = AppendFile(folder / _DOCUMENTS, state["document_bytes"] if state else None)
        self._marks = array("q")  # for each stride: the byte where it begins, the newlines before it
        self._starts = array("q")  # for each document: the character where it begins
        self._record_bytes = array("q")  # for each document: where its record begins
        if state:
            self._load()
        else:
            self._mark(0, 0)

    def __len__(self) -> int:
        """The number of documents."""
        return len(self._starts)

    def begin(self, name: str, fingerprint: str = "", rest: tuple[int, int] = (0, 0)) -> int:
        """Begin a document, which is unfinished until `finish()`; returns its number, from 0.

        Of a longer text, `rest` characters and newlines came before.
        """
        record = {"name": name, "fingerprint": fingerprint, "start": self.chars, "lines": self._lines}
        record |= {"offset": rest[0], "newlines": rest[1]} if any(rest) else {}
        self._cut_records(len(self))  # one that was broken off here
        self._record_bytes.append(self._records.size)
        self._records.append(json.dumps(record).encode() + b"\n")
        self._starts.append(self.chars)
        self._finished = False
        return len(self) - 1

    def append(self, text: str) -> None:
        """Add text to the document that was begun last."""
        assert len(self), "begin() comes first"
        at = 0
        while at < len(text):
            part = text[at : at + STRIDE - self.chars % STRIDE]
            self._append_in_stride(part)
            at += len(part)

    def take_back(self) -> None:
        """Forget the document that was begun last."""
        self.truncate(self._starts[-1])
        self._cut_records(len(self) - 1)
        self._finished = True

    def finish(self) -> None:
        """Say that the last document has been read to its end."""
        self._finished = True

    @property
    def open_files(self) -> int:
        """File descriptors that it holds."""
        return len(self._files)

    @property
    def unfinished(self) -> SpoolDocument | None:
        """The document whose reading was begun and not finished, if there is one."""
        return None if self._finished else self.document(len(self) - 1)

    def document(self, number: int) -> SpoolDocument:
        """The document with that number, from 0."""
        record = json.loads(self._record(number))
        return SpoolDocument(**record, end=self.chars if number == len(self) - 1 else self._starts[number + 1])

    def slice(self, start: int, end: int) -> str:
        """The text of the global offsets `[start, end)`."""
        start, end = max(start, 0), min(end, self.chars)
        if start >= end:
            return ""
        first, after = start // STRIDE, (end - 1) // STRIDE + 1
        stop = self._marks[2 * after] if 2 * after < len(self._marks) else self._text.size
        text = self._text.read(self._marks[2 * first], stop).decode()
        return text[start - first * STRIDE : end - first * STRIDE]

    def place(self, offset: int) -> Place:
        """The document, its own offset and the line of a global offset in `[0, chars]`."""
        number = max(bisect_right(self._starts, offset) - 1, 0)
        document = self.document(number)
        line = self._newlines(offset) - document.lines + document.newlines + 1
        return Place(number, document.name, offset - document.start + document.offset, line)

    def truncate(self, chars: int) -> None:
        """Keep the first `chars` characters; documents that begin behind go, and one that is cut is unfinished."""
        assert 0 <= chars <= self.chars
        if chars == self.chars:
            return
        self._lines = self._newlines(chars)
        self._text.truncate(self._byte(chars))
        del self._marks[2 * (chars // STRIDE + 1) :]
        self._index.truncate(len(self._marks) * 8)
        self._cut_records(bisect_right(self._starts, chars))
        self.chars, self._finished = chars, len(self) == 0

    def state_dict(self, chars: int | None = None) -> dict[str, Any]:
        """What `TextSpool(folder, state)` needs to open the spool as it is now; plain values for JSON.

        With `chars` as if its last document ended there.
        """
        chars = self.chars if chars is None else chars
        return {
            "chars": chars,
            "bytes": self._byte(chars),
            "lines": self._newlines(chars),
            "document_bytes": self._records_end(len(self)),
            "finished": self._finished,
        }

    def copy_to(self, folder: Path, state: Mapping[str, Any] | None = None) -> TextSpool:
        """A spool of its own in `folder`, equal to this one as it is, or as it was when it gave `state`."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in self._files:
            file.copy_to(folder)
        return TextSpool(folder, state or self.state_dict())

    def close(self) -> None:
        """Close the files; they stay on disk."""
        for file in self._files:
            file.close()

    @property
    def _files(self) -> tuple[AppendFile, AppendFile, AppendFile]:
        return self._text, self._index, self._records

    def _append_in_stride(self, part: str) -> None:
        data, lines = part.encode(), self._lines + part.count("\n")
        size = self._text.size
        self._text.append(data)
        if (self.chars + len(part)) % STRIDE == 0:
            try:
                self._mark(self._text.size, lines)
            except StorageFull:
                self._text.truncate(size)
                raise
        self.chars, self._lines = self.chars + len(part), lines

    def _mark(self, byte: int, lines: int) -> None:
        entry = array("q", (byte, lines))
        self._index.append(entry.tobytes())
        self._marks.extend(entry)

    def _byte(self, offset: int) -> int:
        """The byte at which a character stands."""
        if offset == self.chars:
            return self._text.size
        mark = offset // STRIDE
        return self._marks[2 * mark] + len(self.slice(mark * STRIDE, offset).encode())

    def _record(self, number: int) -> bytes:
        """The line of a document."""
        last = number == len(self) - 1
        end = self._records.size if last else self._record_bytes[number + 1]
        return self._records.read(self._record_bytes[number], end).split(b"\n")[0]

    def _records_end(self, documents: int) -> int:
        """The byte behind the records of the first documents."""
        return self._record_bytes[documents - 1] + len(self._record(documents - 1)) + 1 if documents else 0

    def _cut_records(self, documents: int) -> None:
        """Keep the records of the first documents."""
        self._records.truncate(self._records_end(documents))
        del self._record_bytes[documents:], self._starts[documents:]

    def _newlines(self, offset: int) -> int:
        if offset == self.chars:
            return self._lines
        mark = offset // STRIDE
        return self._marks[2 * mark + 1] + self.slice(mark * STRIDE, offset).count("\n")

    def _load(self) -> None:
        self._marks.frombytes(self._index.read(0, self._index.size))
        at = 0
        for line in self._records.read(0, self._records.size).splitlines(keepends=True):
            self._record_bytes.append(at)
            self._starts.append(json.loads(line)["start"])
            at += len(line)
