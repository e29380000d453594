"""Standard input as a document: when it is read without being named."""

from __future__ import annotations

import array
import fcntl
import json
import os
import select
import stat
import sys
import termios
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import cast

from farspan.cli.opening import RECORD

STDIN = "-"
PATIENCE_S = 2.0

Notice = Callable[[str], None]


def piped(kept: Path | None, notice: Notice) -> list[str]:
    """Standard input where it is a pipe or a file with something in it (a terminal and /dev/null are not).

    A session in the folder `kept` that has read something is asked about that, and standard input left to whoever else
    reads it, such as the loop that the command stands in. Where something waits there, `notice` is told.
    """
    if not _is_pipe_or_file():
        return []
    if kept is not None and _has_read(kept):
        if _waiting():
            notice(f"note: session {kept.name!r} has read a text, so standard input is left alone; -f - reads it too")
        return []
    if not select.select([sys.stdin], [], [], PATIENCE_S)[0]:
        notice("note: waiting for a text on standard input; without one, end the command with </dev/null")
    if not cast(BufferedReader, sys.stdin.buffer).peek(1):
        notice("note: standard input is empty, so no document is read")
        return []
    return [STDIN]


def _is_pipe_or_file() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _has_read(folder: Path) -> bool:
    """Whether the record of a session names a whole text; one that is damaged is for who opens it to tell."""
    record = folder / RECORD
    try:
        return any(file["complete"] for file in json.loads(record.read_text(encoding="utf-8"))["files"])
    except (KeyError, TypeError, ValueError, OSError):
        return record.exists()


def _waiting() -> int:
    """Bytes that could be read at once; they stay where they are."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(sys.stdin.fileno(), termios.FIONREAD, count)
    except OSError:
        return 0
    return count[0]
