"""Folders that are there whole or not at all, whatever moment the process is killed at.

They are made, and removed, under a name that nobody asks for.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_MARK = ".unfinished-"


@contextmanager
def made(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which gets its name in the end; nothing of it stays where filling it fails."""
    fresh = _beside(folder)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        fresh.rename(folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def remove(folder: Path) -> None:
    """Remove a folder with everything in it. Raises FileNotFoundError where it is gone already."""
    gone = _beside(folder)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def sweep(folder: Path, about: str, before: float) -> None:
    """Remove the folders below those in here that lack a file `about`, as far as they were last changed `before`.

    They were left by a process that was killed while it made or removed them.
    """
    for left in folder.glob("*/*"):
        unfinished = left.is_dir() and (left.name.startswith(_MARK) or not (left / about).is_file())
        with suppress(FileNotFoundError):  # made or removed meanwhile
            if unfinished and left.stat().st_mtime < before:
                shutil.rmtree(left, ignore_errors=True)


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{_MARK}{uuid.uuid4().hex}")
