"""What a program that is all farspan's asks of the system; a library that is imported must not."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Have the C library keep memory that was freed for what is made next, and say whether it does (glibc only).

    By default it hands large blocks back at once, and every tensor of that size is made of fresh pages, which takes
    longer than most of what is done with them. Resident memory stays at its peak, which it reaches anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none by that name
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _BYTES)) and bool(mallopt(_M_TRIM_THRESHOLD, _BYTES))
