"""What data sets come in: JSON lines, JSON, CSV and Parquet, read row by row; a file that is amiss is told as such."""

from __future__ import annotations

import csv
import importlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from farspan.errors import InputError, UsageError

_START, _CHUNK = 1 << 12, 1 << 20
_BATCH = 16
_GAP = re.compile(r"[\s,]*")
_WRAPPERS = ("data", "rows", "examples", "samples", "test", "train")
_LONGEST_CELL = 2**31 - 1


def json_lines(path: Path) -> Iterator[Any]:
    """The value on every line that is not blank. Raises InputError for a line that is no JSON."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _parsed(path, f"line {number}", line)


def json_file(path: Path) -> Iterator[Any]:
    """The items of a list, one at a time; the rows that an object holds; JSON lines where it is several objects.

    Raises InputError for a file that is no JSON.
    """
    with _opened(path) as file:
        start = file.read(_START).lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        yield from _array(path)
        return
    with _opened(path) as file:
        held = file.read()
    try:
        value = json.loads(held)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise _amiss(path, "it", error) from error
        yield from json_lines(path)
        return
    except (ValueError, RecursionError) as error:
        raise _amiss(path, "it", error) from error
    if isinstance(value, list):
        yield from value
    else:
        yield from _rows_of(value) if isinstance(value, dict) else [value]


def csv_file(path: Path) -> Iterator[Mapping[str, str]]:
    """The rows under a header. Raises InputError for binary files and rows that are longer than the header."""
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 1):
                if None in row:
                    raise InputError(f"{path}, row {number}: more cells than names", fix="give a file with a header")
                yield row
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV of UTF-8 text ({error})", fix="see whether it is whole") from error


def parquet_file(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a Parquet file, a few at a time. Raises InputError for a broken one, UsageError without pyarrow."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError("Parquet files need a package that is missing", fix="pip install pyarrow") from error
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no whole Parquet file ({error})", fix="fetch the file again") from error


READERS: Mapping[str, Callable[[Path], Iterator[Any]]] = {
    ".jsonl": json_lines,
    ".json": json_file,
    ".csv": csv_file,
    ".parquet": parquet_file,
}
"""By the end of a file's name: what reads it."""


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({type(error).__name__})", fix="give a file that can be") from error


def _parsed(path: Path, what: str, held: bytes) -> Any:
    try:
        return json.loads(held)
    except (ValueError, RecursionError) as error:
        raise _amiss(path, what, error) from error


def _amiss(path: Path, what: str, error: Exception) -> InputError:
    return InputError(f"{path}: {what} is no JSON ({error})", fix="see whether the file is whole, and text")


def _array(path: Path) -> Iterator[Any]:
    """The items of a list, of which no more is held than the one at hand and about as much again."""
    decoder = json.JSONDecoder()
    error: Exception | None = None
    try:
        with path.open(encoding="utf-8-sig") as file:
            held = file.read(_START)
            at = held.find("[") + 1
            while True:
                at = _GAP.match(held, at).end()  # type: ignore[union-attr]
                if held[at : at + 1] == "]":
                    return
                try:
                    value, end = decoder.raw_decode(held, at)
                except ValueError as cut:
                    end, error = len(held), cut
                if end < len(held):
                    yield value
                    at = end
                    continue
                more = file.read(max(_CHUNK, len(held) - at))
                if not more:
                    raise _amiss(path, "it", error or ValueError("it ends before the list does"))
                held, at = held[at:] + more, 0
    except (UnicodeError, RecursionError) as broken:
        raise _amiss(path, "it", broken) from broken


def _rows_of(value: dict[str, Any]) -> Iterator[Any]:
    """The rows of an object: those under `data` or the like, its columns, its values by key, or itself alone."""
    for name in _WRAPPERS:
        if isinstance(value.get(name), list):
            return iter(value[name])
    held = list(value.values())
    if held and all(isinstance(one, dict) for one in held):
        numbered = all(key.isdigit() for one in held for key in one)
        columns = {name: list(one.values()) for name, one in value.items()}
        return _turned(columns) if numbered else iter(held)
    if held and all(isinstance(one, list) for one in held) and len({len(one) for one in held}) == 1:
        return _turned(value)
    return iter([value])


def _turned(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for cells in zip(*columns.values(), strict=False):
        yield dict(zip(columns, cells, strict=True))
