"""A whole file as text."""

from __future__ import annotations

from pathlib import Path

from farspan.errors import InputError


def text_of(path: Path) -> str:
    """The text of a file. Raises InputError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__})", fix="give a file of UTF-8 text") from error
