"""Whole numbers in the rows of public data sets."""

from __future__ import annotations

from farspan.tasks.files.rows import Row, field, texts


def whole(row: Row, name: str) -> int:
    """A field that is a whole number, or a text that is one. Raises InputError for anything else."""
    return _whole(row, name, str(field(row, name)))


def wholes(row: Row, name: str) -> list[int]:
    """A field that is a list of whole numbers. Raises InputError when it is empty or anything else."""
    return [_whole(row, name, value) for value in texts(row, name)]


def _whole(row: Row, name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise row.wrong(f"field {name!r} is no whole number, but {value[:40]!r}") from error
