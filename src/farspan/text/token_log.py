"""Every token of a session on disk: its id, and the characters of the text spool that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farspan.text.files import AppendFile

NO_TEXT = -1  # the span of a token that is not user text: template, question, answer
_RECORD = np.dtype([("id", "<i4"), ("start", "<i8"), ("end", "<i8")])
_FILE = "tokens.bin"

Integers = Sequence[int] | NDArray[np.integer]


class Spans(NamedTuple):
    """Character offsets of tokens in the text spool, int64 each; NO_TEXT (-1) where a token is not user text."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class TokenLog:
    """An append-only file of 20 bytes a token in `folder`; in memory it takes the same for any length.

    `TokenLog(folder)` begins a new log; `TokenLog(folder, length=n)` opens one and cuts it to its first `n` tokens
    (SessionError when it holds fewer).
    """

    def __init__(self, folder: Path, length: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = AppendFile(folder / _FILE, None if length is None else length * _RECORD.itemsize)

    def __len__(self) -> int:
        return self._file.size // _RECORD.itemsize

    def append(self, ids: Integers, starts: Integers | None = None, ends: Integers | None = None) -> None:
        """Add tokens with their global spool offsets; without offsets they are not user text."""
        records = np.full(len(ids), NO_TEXT, dtype=_RECORD)
        records["id"] = ids
        if starts is not None and ends is not None:
            records["start"], records["end"] = starts, ends
        self._file.append(records.tobytes())

    def ids(self, start: int = 0, end: int | None = None) -> NDArray[np.int32]:
        """The ids of tokens `[start, end)`."""
        return np.ascontiguousarray(self._read(start, end)["id"])

    def spans(self, start: int = 0, end: int | None = None) -> Spans:
        """The spans of tokens `[start, end)`."""
        records = self._read(start, end)
        return Spans(np.ascontiguousarray(records["start"]), np.ascontiguousarray(records["end"]))

    def truncate(self, length: int) -> None:
        """Keep the first `length` tokens."""
        self._file.truncate(length * _RECORD.itemsize)

    def copy_to(self, folder: Path, length: int | None = None) -> TokenLog:
        """A log of its own in `folder`, equal to this one or to its first tokens."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file.copy_to(folder)
        return TokenLog(folder, len(self) if length is None else length)

    def close(self) -> None:
        """Close the file; it stays on disk."""
        self._file.close()

    def _read(self, start: int, end: int | None) -> NDArray[np.void]:
        end = len(self) if end is None else min(end, len(self))
        data = self._file.read(start * _RECORD.itemsize, end * _RECORD.itemsize)
        return np.frombuffer(data, dtype=_RECORD)
