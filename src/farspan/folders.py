"""Folders: one that one process at a time may write to, and those that are gone in the end."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from farspan import env

LOCK = "lock"


def hold(folder: Path) -> int | None:
    """Hold a folder until the descriptor that is returned is closed, or the process ends; None when another has it."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for what has none of its own."""
    folder = env.scratch_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="farspan-", dir=folder)


def write_whole(path: Path, text: str) -> None:
    """Write a file so that whoever reads it, also after a crash, finds all of it or what was there before."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
