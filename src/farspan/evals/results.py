"""A folder with the rows of a run: appended as they are measured, whole after a kill, never mixed with another run."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farspan.errors import InputError, UsageError
from farspan.folders import hold

CONFIG, ROWS = "config.json", "rows.jsonl"
Row = dict[str, Any]
Key = tuple[Any, ...]


def key_of(row: Mapping[str, Any]) -> Key:
    """What makes a row the only one of its kind."""
    return tuple(row[name] for name in ("sample", "method", "budget", "context", "mode", "turn"))


def unit_of(row: Mapping[str, Any]) -> Key:
    """The context that a row was asked on; all rows of it are written at once."""
    return tuple(row[name] for name in ("sample", "method", "budget", "context"))


class Results:
    """The rows and the configuration in a folder. A line that a kill cut off is dropped, and measured again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[Key, Row] = {}

    @classmethod
    def open(cls, folder: Path) -> Results:
        """The results in a folder. Raises InputError when there are none or a row cannot be read."""
        if not (folder / CONFIG).is_file():
            raise InputError(f"{folder} holds no results", fix="give a folder that `farspan eval run -o` wrote")
        results = cls(folder)
        results._load()
        return results

    @classmethod
    def begin(cls, folder: Path, config: Mapping[str, Any]) -> Results:
        """Results to be added to: a new folder, or one whose run is the same in everything but its extent.

        Raises UsageError that names what differs.
        """
        folder.mkdir(parents=True, exist_ok=True)
        results = cls(folder)
        if (folder / CONFIG).is_file():
            results._compare(config)
            results._load()
        elif any(folder.iterdir()):
            raise UsageError(f"{folder} holds other files", fix="give a new folder with -o")
        results._write_config(config)
        return results

    @property
    def config(self) -> dict[str, Any]:
        """What was measured, with what."""
        try:
            loaded: dict[str, Any] = json.loads((self.folder / CONFIG).read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{self.folder / CONFIG} is damaged: {error}", fix="restore it from a copy") from error
        return loaded

    @property
    def rows(self) -> list[Row]:
        """Every row, in the order of their keys; of a question that failed and was asked again, the last."""
        return [self._rows[key] for key in sorted(self._rows, key=lambda key: json.dumps(key))]

    def __iter__(self) -> Iterator[Row]:
        """The rows in the order in which they were measured."""
        return iter(self._rows.values())

    def complete(self) -> set[Key]:
        """The contexts whose questions have all been answered: every row says how many were written with it."""
        answered = Counter(unit_of(row) for row in self if not row["error"])
        return {unit_of(row) for row in self if answered[unit_of(row)] == row["together"]}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from writing here meanwhile. Raises UsageError when one does."""
        lock = hold(self.folder)
        if lock is None:
            raise UsageError(f"another run writes to {self.folder}", fix="wait for it, or give another folder with -o")
        try:
            yield
        finally:
            os.close(lock)

    def add(self, rows: Iterable[Row]) -> None:
        """Append the rows of one context, each with how many they are; they are on the disk when this returns."""
        kept = list(rows)
        for row in kept:
            row["together"] = len(kept)
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
        with (self.folder / ROWS).open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._rows.update((key_of(row), row) for row in kept)

    def replace(self, rows: Iterable[Row]) -> None:
        """Write all rows anew, as after scoring them again; the old ones stay until the new ones are whole."""
        self._rows = {key_of(row): row for row in rows}
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self._rows.values())
        self._write(ROWS, text)

    def _load(self) -> None:
        path = self.folder / ROWS
        if not path.is_file():
            return
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
        for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
            try:
                row = json.loads(line)
                self._rows[key_of(row)] = row
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path}, line {number}, is no row: {error}", fix="remove the line") from error

    def _compare(self, config: Mapping[str, Any]) -> None:
        old = self.config["identity"]
        for name, value in config["identity"].items():
            if old.get(name) != value:
                raise UsageError(
                    f"{self.folder} was measured with {name} {old.get(name)!r}, this run has {value!r}",
                    fix="give another folder with -o, or run with what was used there",
                )

    def _write_config(self, config: Mapping[str, Any]) -> None:
        self._write(CONFIG, json.dumps(config, indent=2, ensure_ascii=False) + "\n")

    def _write(self, name: str, text: str) -> None:
        fresh = self.folder / f"{name}.new"
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / name)
