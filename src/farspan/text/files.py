"""An append-only file: what the spool and the token log are made of."""

from __future__ import annotations

import shutil
from pathlib import Path

from farspan.errors import SessionError, StorageFull, is_full
from farspan.types import format_bytes


class AppendFile:
    """A file that only grows at its end, is read at any place, and can be cut back.

    With `size=None` the file is made anew. With a size an existing file is opened and cut to that many bytes: what a
    crash left behind the last commit goes. A file that is missing or shorter than `size` is a SessionError.

    While it is open nothing is taken off the disk, so that what was committed stands until the next commit: where it is
    cut, what lies behind `size` counts no more, and is written over.
    """

    def __init__(self, path: Path, size: int | None = None) -> None:
        self.path = path
        if size is None:
            self._file = path.open("w+b", buffering=0)
            self.size = self._on_disk = 0
            return
        found = path.stat().st_size if path.is_file() else 0
        if found < size:
            raise SessionError(
                f"{path} holds {found} of the {size} bytes that were committed",
                fix="the session is damaged: restore its folder from a copy, or read the text again",
            )
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(size)
        self.size = self._on_disk = size

    def append(self, data: bytes) -> None:
        """Write `data` at the end. On a full disk the file takes no more than it did, and StorageFull is raised."""
        rest = memoryview(data)
        self._file.seek(self.size)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._file.truncate(self._on_disk)
            if not is_full(error):
                raise
            raise StorageFull(
                f"no room for {format_bytes(len(data))} more in {self.path}",
                fix="free space on that disk, or keep the session on another one (FARSPAN_SCRATCH, FARSPAN_HOME)",
            ) from error
        self.size += len(data)
        self._on_disk = max(self._on_disk, self.size)

    def read(self, start: int, end: int) -> bytes:
        """The bytes of `[start, end)`; fewer where the file ends before."""
        end = min(end, self.size)
        self._file.seek(start)
        parts: list[bytes] = []
        while start < end and (part := self._file.read(end - start)):
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def truncate(self, size: int) -> None:
        """Cut the file back to `size` bytes."""
        assert 0 <= size <= self.size
        self.size = size

    def copy_to(self, folder: Path) -> None:
        """Copy the file into `folder`, under its own name."""
        shutil.copyfile(self.path, folder / self.path.name)

    def close(self) -> None:
        """Close the file; it stays on disk."""
        self._file.close()
