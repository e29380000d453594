"""The oldest blocks of a layer on disk: one append-only file a column.

Single blocks are read through a memory map, whose pages are given back at once, so that the resident bytes of the
process do not grow with the file; the disk is asked for all of them beforehand, since touching page after page waits
for each. A scan reads into one buffer instead: the faults of a map cost more than the copy.
"""

from __future__ import annotations

import math
import mmap
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from farspan.cache.columns import Column, Rows, count_rows
from farspan.errors import SessionError, StorageFull, is_full
from farspan.types import format_bytes

_NUMPY = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64}
_TORCH = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class BlockFile:
    """Rows `[origin, end)` of a growing sequence, as `<stem>.<column>` in a folder, each row `[G, *shape]`.

    Opened with `rows`, it continues files that hold at least so many rows. What lies beyond them is cut off with the
    first row that is written: to open a file changes nothing. New files are made then, too. `nameless` files are taken
    out of the folder at once, so that their bytes are free again when the process ends, however it does. Raises
    SessionError when a file is shorter than that, StorageFull when the disk takes no more.
    """

    def __init__(
        self,
        folder: Path,
        stem: str,
        columns: tuple[Column, ...],
        origin: int = 0,
        rows: int = 0,
        nameless: bool = False,
    ) -> None:
        self.columns = {column.name: column for column in columns}
        self.origin = origin
        self.end = origin + rows
        self._longer = rows > 0
        self._nameless = nameless
        self._paths = {name: folder / f"{stem}.{name}" for name in self.columns}
        self._files: dict[str, int] = {}
        weakref.finalize(self, _close, self._files)  # nobody closes those of a memory whose next file cannot be opened
        self._maps: dict[str, mmap.mmap] = {}
        if rows:
            self._open()

    def __len__(self) -> int:
        return self.end - self.origin

    @property
    def open_files(self) -> int:
        """File descriptors that it holds; a map has one of its own."""
        return len(self._files) + len(self._maps)

    def append(self, rows: Rows) -> None:
        """Write rows behind the last. After a failure the file holds what it held before."""
        if not self._files:
            self._open()
        try:
            if self._longer:
                self._cut()
            for name, column in self.columns.items():
                data = rows[name].movedim(1, 0).contiguous().cpu()
                raw = data.view(_TORCH[column.dtype.itemsize]).numpy()
                _write(self._files[name], memoryview(raw.data).cast("B"), len(self) * column.row_bytes)
        except OSError as error:
            raise self._full(error) from error
        self.end += count_rows(rows)

    def gather(self, name: str, rows_n: Tensor, heads_n: Tensor, tokens_n: Tensor | None = None) -> Tensor:
        """What head `heads_n[i]` stores in row `rows_n[i]`, of token `tokens_n[i]` if given: `[n, *shape]`."""
        column, array = self.columns[name], self._array(name)
        at_n = [rows_n.cpu().numpy() - self.origin, heads_n.cpu().numpy() % column.heads]
        at_n += [] if tokens_n is None else [tokens_n.cpu().numpy()]
        self._ask_for(name, np.ravel_multi_index(at_n, array.shape[: len(at_n)]), math.prod(array.shape[len(at_n) :]))
        picked = array[tuple(at_n)]
        del array
        self._give_back(name)
        return torch.from_numpy(picked).view(column.dtype)

    def runs(self, names: tuple[str, ...], start: int, end: int, limit: int) -> Iterator[tuple[int, Rows]]:
        """Rows `[start, end)`, at most `limit` at once, in order, each part with the number of its first row.

        A part lies in a buffer and holds until the next one is asked for.
        """
        most = min(limit, end - start)
        buffers = {name: bytearray(most * self.columns[name].row_bytes) for name in names}
        for first in range(start, end, limit):
            count = min(limit, end - first)
            yield first, {name: self._read(name, first - self.origin, count, buffers[name]) for name in names}

    def nbytes(self) -> int:
        """Bytes on disk."""
        return len(self) * sum(column.row_bytes for column in self.columns.values())

    def close(self) -> None:
        """Close the files; the rows stay on disk. A map goes when the last view of it does."""
        _close(self._files)
        self._maps = {}

    def _read(self, name: str, first: int, count: int, buffer: bytearray) -> Tensor:
        """Rows `[first, first + count)` of a file, counted from its beginning, in `buffer`: `[G, count, *shape]`."""
        column = self.columns[name]
        _fill(self._files[name], memoryview(buffer)[: count * column.row_bytes], first * column.row_bytes)
        shape = (count, column.heads, *column.shape)
        flat = torch.frombuffer(buffer, dtype=column.dtype, count=math.prod(shape))
        return flat.view(shape).movedim(0, 1)

    def _array(self, name: str) -> np.ndarray:
        column = self.columns[name]
        needed = len(self) * column.row_bytes
        if name not in self._maps or len(self._maps[name]) < needed:
            self._maps[name] = mmap.mmap(self._files[name], needed, access=mmap.ACCESS_WRITE)
        shape = (len(self), column.heads, *column.shape)
        dtype = _NUMPY[column.dtype.itemsize]
        return np.frombuffer(self._maps[name], dtype=dtype, count=math.prod(shape)).reshape(shape)

    def _ask_for(self, name: str, piece_n: NDArray[np.int64], numbers: int) -> None:
        """Have the disk bring in pieces of so many numbers all at once, not one after the other as they are touched.

        Where most are smaller than a page, to ask for each takes longer than to read those that are there.
        """
        size = numbers * self.columns[name].dtype.itemsize
        piece_n = np.sort(piece_n)
        start_m = np.flatnonzero(np.diff(piece_n, prepend=-2) > 1)
        if not hasattr(os, "posix_fadvise") or len(piece_n) * size < len(start_m) * mmap.PAGESIZE:
            return
        last_m = np.append(start_m[1:], len(piece_n)) - 1
        for first, last in zip(piece_n[start_m].tolist(), piece_n[last_m].tolist(), strict=True):
            os.posix_fadvise(self._files[name], first * size, (last + 1 - first) * size, os.POSIX_FADV_WILLNEED)

    def _give_back(self, name: str) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            self._maps[name].madvise(mmap.MADV_DONTNEED)

    def _open(self) -> None:
        try:
            self._open_all()
        except BaseException:
            _close(self._files)
            raise

    def _open_all(self) -> None:
        for name, path in self._paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            held, size = os.fstat(self._files[name]).st_size, len(self) * self.columns[name].row_bytes
            if held < size:
                raise SessionError(
                    f"{path} is truncated: {format_bytes(held)} of {format_bytes(size)}",
                    fix="restore the session's folder from a copy, or remove it and read the text again",
                )
            if self._nameless:
                path.unlink()

    def _cut(self) -> None:
        """Cut off what lies behind the last row, such as what was written after a session's last commit."""
        for name, column in self.columns.items():
            os.ftruncate(self._files[name], len(self) * column.row_bytes)
        self._longer = False

    def _full(self, error: OSError) -> OSError:
        self._cut()
        if not is_full(error):
            return error
        folder = next(iter(self._paths.values())).parent
        return StorageFull(
            f"the disk under {folder} is full; the session stands at its last chunk",
            fix="free some space, or put the session elsewhere (FARSPAN_HOME, FARSPAN_SCRATCH)",
        )


def _close(files: dict[str, int]) -> None:
    while files:
        os.close(files.popitem()[1])


def _write(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


def _fill(handle: int, room: memoryview, offset: int) -> None:
    while room:
        read = os.preadv(handle, [room], offset)
        assert read, "a row that was written is not in its file"
        room, offset = room[read:], offset + read
