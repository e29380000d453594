"""One open file that is read by several at once, each with a place of its own in it."""

from __future__ import annotations

import io
import os
from typing import IO, Any, BinaryIO


def reader_of(file: IO[bytes]) -> BinaryIO:
    """What lies in a file that has a descriptor, from its beginning; closing what is given leaves the file open."""
    return io.BufferedReader(_Placed(file))


class _Placed(io.RawIOBase):
    """Reads at its own offset, so the position that all who hold the descriptor share never moves."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._file.fileno(), len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at}
        start = base[whence] if whence in base else os.fstat(self._file.fileno()).st_size
        self._at = max(start + offset, 0)
        return self._at
