"""What a program that is all farspan's asks of the system; a library that is imported must not."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import cast

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_BYTES = 1 << 30
_OPEN_MAX = 10_240


def open_missing_streams() -> None:
    """Put the null device in the place of each standard stream that was closed before the program began.

    Python gives None for such a stream, and its descriptor to the next file that is opened, over which a library that
    prints would then write.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 (lives as long as the process)


def write_names_as_they_are() -> None:
    """Let names of files that are not UTF-8 be written with the bytes that they have, whatever the locale."""
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="surrogateescape")


def keep_freed_memory() -> bool:
    """Have the C library keep memory that was freed for what is made next, and say whether it does (glibc only).

    By default it hands large blocks back at once, and every tensor of that size is made of fresh pages, which takes
    longer than most of what is done with them. Resident memory stays at its peak, which it reaches anyway.
    """
    return _tell(_M_MMAP_THRESHOLD, _BYTES) and _tell(_M_TRIM_THRESHOLD, _BYTES)


def share_freed_memory() -> bool:
    """Have all threads take memory from one heap, and say whether they do (glibc only).

    By default each has one of its own and keeps what it has freed from the others, so that resident memory grows to the
    sum of what each has ever needed. Call it before the threads begin.
    """
    return _tell(_M_ARENA_MAX, 1)


def allow_open_files() -> None:
    """Let the process have as many files open as the system would ever let it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (hard, max(soft, _OPEN_MAX)):  # macOS says that there is no limit, and takes no more than that
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return


def most_open_files() -> int | None:
    """How many files the process may have open; None where there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _tell(option: int, value: int) -> bool:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none by that name
        return False
    return bool(mallopt(option, value))
