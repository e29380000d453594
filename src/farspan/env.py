"""The environment variables that farspan reads, in one place; all of its own begin with FARSPAN_."""

from __future__ import annotations

import os
from pathlib import Path

from farspan.errors import UsageError, nearest

KERNELS = ("auto", "native", "triton", "torch")


def home() -> Path:
    """The folder for sessions and other files of the user: FARSPAN_HOME, or `~/.farspan`."""
    return Path(os.environ.get("FARSPAN_HOME", "~/.farspan")).expanduser()


def sessions_folder() -> Path:
    """Where named sessions lie."""
    return home() / "sessions"


def scratch_folder() -> Path | None:
    """Where the disk tier of unnamed sessions lies: FARSPAN_SCRATCH, or None for the system's temporary folder."""
    value = os.environ.get("FARSPAN_SCRATCH")
    return Path(value).expanduser() if value else None


def api_key() -> str | None:
    """A key that the server lets in: FARSPAN_API_KEY."""
    return os.environ.get("FARSPAN_API_KEY") or None


def kernels() -> str:
    """Which attention kernels to use: FARSPAN_KERNELS, one of `KERNELS`.

    auto is native on the CPU and triton on a GPU, each where it can be had.
    """
    value = os.environ.get("FARSPAN_KERNELS") or "auto"
    if value not in KERNELS:
        raise UsageError(f"FARSPAN_KERNELS is {value!r}, which is not known", fix=nearest(value, KERNELS))
    return value


def triton_is_interpreted() -> bool:
    """Whether Triton runs its kernels without a GPU, slowly, for tests: its own variable TRITON_INTERPRET."""
    return os.environ.get("TRITON_INTERPRET") == "1"
