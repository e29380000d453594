"""Rows of public data sets: from a file, a folder of files or the Hub, one at a time, each knowing where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from farspan.errors import InputError, UsageError, nearest
from farspan.tasks.files import hub
from farspan.tasks.files.formats import READERS

_HUB = re.compile(r"hub:([\w.-]+/[\w.-]+)")
_KINDS = ", ".join(READERS)


class Row(dict[str, Any]):
    """A row. `where` says which it is, for errors; `names` are what it may be called: its file, folder or split."""

    def __init__(self, values: Mapping[str, Any], where: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(values)
        self.where = where
        self.names = names

    def named(self, known: Iterable[str]) -> str:
        """The first of its names that is known; empty when none is."""
        held = set(known)
        return next((name for name in self.names if name in held), "")

    def wrong(self, what: str) -> InputError:
        """The error that says what is amiss with this row."""
        return InputError(f"{self.where}: {what}", fix="see whether the files are of this data set")


def rows(path: str, name: str | None = None, split: str | None = None) -> Iterator[Row]:
    """The rows of a .jsonl, .json, .csv or .parquet file, of a folder of them, or of `hub:owner/name`; lazily.

    name: a part of the set: only files in a folder that, or whose folder, is called so; on the Hub the configuration.
    split: only files in a folder that are called so, or begin with it and a dash; on the Hub the split.
    Raises InputError for what is missing, empty, binary or cut short; UsageError when a package is missing.
    """
    found = _HUB.fullmatch(path)
    if found and not Path(path).exists():
        yield from _filled(path, _from_hub(found[1], name, split))
        return
    yield from _filled(path, (row for file in _files(Path(path), name, split) for row in _from_file(file)))


def holds(path: str, name: str) -> bool:
    """Whether a folder has files that `rows` takes for a part of that name, or a set on the Hub such a configuration.

    Raises InputError for a set on the Hub that cannot be asked; UsageError when a package is missing.
    """
    found = _HUB.fullmatch(path)
    if found and not Path(path).exists():
        return name in hub.configurations(found[1])
    return any(_is_called(file, name) for file in _readable(Path(path)))


def field(row: Mapping[str, Any], name: str, where: str = "") -> Any:
    """A field of a row. Raises InputError that names the file, the row and the field when it is missing or null."""
    value = row.get(name)
    if value is None:
        place = where or str(getattr(row, "where", "a row"))
        has = ", ".join(str(key) for key in list(row)[:20])
        raise InputError(f"{place}: there is no field {name!r}", fix=f"a row of this data set has one; this has: {has}")
    return value


def text(row: Row, name: str) -> str:
    """A field that is a text; a number is written out. Raises InputError for anything else."""
    value = field(row, name)
    if not isinstance(value, str | int | float):
        raise row.wrong(f"field {name!r} is no text")
    return str(value)


def texts(row: Row, name: str) -> tuple[str, ...]:
    """A field that is a list of texts, or one text. Raises InputError when it is empty or anything else."""
    value = field(row, name)
    held = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not held or any(not isinstance(one, str | int | float) for one in held):
        raise row.wrong(f"field {name!r} is no list of texts")
    return tuple(str(one) for one in held)


def parts(row: Row, name: str) -> list[Row]:
    """A field that is a list of objects, each as a row of its own. Raises InputError for anything else."""
    value = field(row, name)
    if not isinstance(value, list) or not value or any(not isinstance(one, Mapping) for one in value):
        raise row.wrong(f"field {name!r} is no list of objects")
    return [Row(one, f"{row.where}, {name} {number}", row.names) for number, one in enumerate(value, 1)]


def one_of(what: str, given: str, known: Iterable[str]) -> None:
    """Let a known name pass, and none at all. Raises UsageError that names those that are known."""
    held = list(known)
    if given and given not in held:
        raise UsageError(f"no {what} is called {given!r}", fix=nearest(given, held))


def _from_hub(repo: str, name: str | None, split: str | None) -> Iterator[Row]:
    for part, number, values in hub.rows(repo, name, split):
        yield Row(values, f"hub:{repo} ({part}), row {number}", tuple(one for one in (name, part) if one))


def _from_file(file: Path) -> Iterator[Row]:
    for number, values in enumerate(READERS[file.suffix](file), 1):
        where = f"{file}, row {number}"
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: it is no object with named fields", fix="give a list or lines of objects")
        yield Row(values, where, (file.stem, file.parent.name))


def _files(path: Path, name: str | None, split: str | None) -> list[Path]:
    if path.is_file():
        if path.suffix not in READERS:
            raise InputError(f"{path} is of no kind that can be read", fix=f"give one of {_KINDS}")
        return [path]
    if not path.is_dir():
        raise InputError(f"there is no file or folder {path}", fix="give one, or hub:owner/name")
    files = [file for file in _readable(path) if name is None or _is_called(file, name)]
    files = [file for file in files if split is None or split == file.stem or file.stem.startswith(f"{split}-")]
    if not files:
        called = " that are called " + " and ".join(part for part in (name, split) if part) if name or split else ""
        raise InputError(f"{path} holds no files{called}", fix=f"give a folder with files of the kinds {_KINDS}")
    return files


def _readable(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.suffix in READERS and file.is_file()]


def _is_called(file: Path, name: str) -> bool:
    return name in (file.stem, file.parent.name)


def _filled(path: str, found: Iterator[Row]) -> Iterator[Row]:
    """The same, but not nothing."""
    first = next(found, None)
    if first is None:
        raise InputError(f"{path} has no rows", fix="give a file with a row in it")
    yield first
    yield from found
