"""A folder that one process at a time may write to."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

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
