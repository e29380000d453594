"""Folders: one that one process at a time may write to, and those that are gone in the end."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from farspan import env
from farspan.errors import UsageError

LOCK = "lock"
_SCRATCH, _NEW, _OF_A_PROCESS = "farspan-", "farspan-new-", "farspan-process-"


def hold(folder: Path) -> int | None:
    """Hold a folder until the descriptor that is returned is closed, or the process ends; None when another has it."""
    return _locked(os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing. Raises UsageError where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {folder} cannot be made: {error.strerror}", fix="write somewhere else") from error


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for what has none of its own; it goes at the latest when another process needs one."""
    folder = env.scratch_folder() or Path(tempfile.gettempdir())
    own = _of_this_process(folder, os.getpid())
    if not own.is_dir():  # somebody has tidied up
        _of_this_process.cache_clear()
        own = _of_this_process(folder, os.getpid())
    return tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=own)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it, also after a crash, finds all of it or what was there before."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write a file or a folder under; all of it is on the disk before it takes the place of `path`.

    Whatever goes wrong leaves `path` as it was, and nothing beside it. Between the two renames that a folder takes,
    what was there before is `path.old`: see `put_back`.
    """
    fresh, old = _beside(path)
    _discard(fresh)
    try:
        yield fresh
        for written in (fresh, *fresh.rglob("*")):
            _sync(written)
        if path.is_dir():
            _discard(old)
            path.rename(old)
        fresh.rename(path)
    except BaseException:
        put_back(path)
        _discard(fresh)
        raise
    _sync(path.parent)
    _discard(old)


def put_back(path: Path) -> None:
    """Where a process ended between the two renames of `replacing`, give the folder before its name again."""
    _, old = _beside(path)
    if old.is_dir() and not path.exists():
        old.rename(path)


def _beside(path: Path) -> tuple[Path, Path]:
    """The names that `replacing` uses for what is written, and for what it replaces."""
    return path.with_name(f"{path.name}.new"), path.with_name(f"{path.name}.old")


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def _of_this_process(folder: Path, process: int) -> Path:
    """The folder in here that this process holds as long as it lives; those that no process holds are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=_NEW, dir=folder))
    _locked(os.open(fresh, os.O_RDONLY))
    own = fresh.rename(folder / fresh.name.replace(_NEW, _OF_A_PROCESS, 1))
    atexit.register(_remove, own, process)
    for left in folder.glob(f"{_OF_A_PROCESS}*"):
        _remove_unheld(left)
    return own


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # and not one that was forked from it
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unheld(folder: Path) -> None:
    try:
        lock = _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))
    except OSError:  # another user's, or gone meanwhile
        return
    if lock is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(descriptor: int) -> int | None:
    """Lock what is open there, until it is closed; None, and it is closed, where another process has the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
