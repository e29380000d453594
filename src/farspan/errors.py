"""The exceptions that farspan raises for its users, in one tree.

FarspanError                     exit 1
  UsageError (ValueError)        exit 2   an argument that cannot be understood
    MethodError                  exit 2   an unknown method or keyword, or methods that cannot be combined
  InputError (ValueError)        exit 3   a text that cannot be read: missing, empty, binary
  ModelError (ValueError)        exit 3   a model that cannot be loaded or hosted
  SessionError (ValueError)      exit 3   a saved session that is missing, truncated or of another model
  BudgetError (ValueError)       exit 4   a budget that cannot be met
  StorageFull (OSError)          exit 4   a tier or the disk itself is full; the session stands at its last chunk
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TOLD = re.compile(r"\(os error (\d+)\)")


class FarspanError(Exception):
    """Any error meant for the user: one line that says what happened, and `fix`, one line that says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}; {self.fix}" if self.fix else self.message


class UsageError(FarspanError, ValueError):
    """An argument that cannot be understood."""

    exit_code = 2


class MethodError(UsageError):
    """An unknown method or keyword, or methods that cannot be combined."""


class InputError(FarspanError, ValueError):
    """A text that cannot be read: missing, empty or binary."""

    exit_code = 3


class ModelError(FarspanError, ValueError):
    """A model that cannot be loaded or hosted; the message names it and the reason."""

    exit_code = 3


class SessionError(FarspanError, ValueError):
    """A saved session that is missing, truncated, in use, or was made with another model."""

    exit_code = 3


class BudgetError(FarspanError, ValueError):
    """A budget that is no size, or too small for the method and model."""

    exit_code = 4


class StorageFull(FarspanError, OSError):
    """A tier or the disk is full. The session stands as it was at its last committed chunk."""

    exit_code = 4


def system_number(error: BaseException) -> int | None:
    """The number of what the system refused, if any; tokenizers and safetensors tell it in their text."""
    if isinstance(error, OSError):
        return error.errno
    told = _TOLD.search(str(error))
    return int(told[1]) if told else None


def is_full(error: BaseException) -> bool:
    """Whether the system took no more: the disk is full, or a quota or the longest file that may be is reached."""
    return system_number(error) in _FULL


def nearest(name: str, known: Iterable[str]) -> str:
    """Say what the user may have meant: the nearest known name first, then all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}"
