"""What an error says to the user: what happened, what to do, and the exit code."""

from __future__ import annotations

import errno
import os
from functools import singledispatch
from typing import NamedTuple

import click

from farspan.errors import FarspanError, system_number


class Explanation(NamedTuple):
    """An error for people. `fix` may be empty."""

    message: str
    fix: str
    exit_code: int


_PLACES = "FARSPAN_HOME says where sessions lie, FARSPAN_SCRATCH where what does not fit does"
_FULL = 4, "free some, or point FARSPAN_HOME and FARSPAN_SCRATCH elsewhere"
_FORBIDDEN = 3, f"choose a place that you may write to; {_PLACES}"
_MISSING = 3, f"check the path, and that its folder exists; {_PLACES}"
_TOO_MANY_FILES = 1, "close some, or allow more: ulimit -n 10240"
_SYSTEM = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: (4, "allow larger files (ulimit -f unlimited), or use another file system"),
    errno.EROFS: _FORBIDDEN,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.ENOENT: _MISSING,
    errno.ENOTDIR: _MISSING,
    errno.EEXIST: (3, "a file is in the way: choose another name"),
    errno.EISDIR: (3, "name a file, not a folder"),
    errno.ENAMETOOLONG: (2, "choose a shorter name"),
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
}
"""What the system refuses, with the exit code and what to do."""


@singledispatch
def explain(error: BaseException) -> Explanation:
    """The explanation of any error; what farspan does not foresee is named by its type."""
    number = system_number(error)
    return _unforeseen(error) if number is None else explain(OSError(number, os.strerror(number)))


@explain.register
def _(error: FarspanError) -> Explanation:
    return Explanation(error.message, error.fix, error.exit_code)


@explain.register
def _(error: click.ClickException) -> Explanation:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "farspan"
    return Explanation(error.format_message(), f"see {path} --help", error.exit_code)


@explain.register
def _(error: OSError) -> Explanation:
    known = _SYSTEM.get(error.errno or 0)
    if known is None:
        return _unforeseen(error)
    code, fix = known
    named = isinstance(error.filename, (str, bytes, os.PathLike))
    where = os.fsdecode(error.filename) if named else "a file that is written or read"
    return Explanation(f"{where}: {os.strerror(error.errno or 0).lower()}", fix, code)


def _unforeseen(error: BaseException) -> Explanation:
    return Explanation(f"{type(error).__name__}: {error}", "run it again with --debug for the traceback", 1)
