"""A folder with the rows of a run: appended as they are measured, whole after a kill, never mixed with another run."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from farspan.errors import InputError, UsageError
from farspan.evals.config import difference, joined
from farspan.folders import LOCK, hold, make_folder, write_whole

CONFIG, ROWS, PACKED, FRESH = "config.json", "rows.jsonl", "rows.jsonl.xz", ".new"
UNIT = ("sample", "method", "budget", "context")
"""What names a context as it was read."""
KEY = (*UNIT, "mode", "turn")
"""What makes a row the only one of its kind."""
_SCORED = ("query", "answer", "gold", "scorer", "options", "prefix", "max_new_tokens", "decoys", "echoes", "stop")
_NEEDED = frozenset((*KEY, *_SCORED, *"task length number prompt_sha reply score null truncated counts error".split()))
Row = dict[str, Any]
Key = tuple[Any, ...]
Answered = dict[tuple[str, int], str]
"""The questions that were answered, by mode and turn, and the hashes of their prompts."""


def key_of(row: Mapping[str, Any], names: tuple[str, ...] = KEY) -> Key:
    """The values of a row that name it, or its context (UNIT)."""
    return tuple(row[name] for name in names)


class Results:
    """The rows and the configuration in a folder. A line that a kill cut off does not count, and is measured again.

    Rows that were packed to be published (rows.jsonl.xz) are read as they are, and unpacked by the first run that adds
    to them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[Key, Row] = {}
        self._lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The results in a folder, to be read. Raises InputError when there are none or a row cannot be read."""
        results = cls._existing(folder)
        results._load()
        return results

    @classmethod
    def change(cls, folder: Path) -> Self:
        """The same, to be written to until it is closed. Raises UsageError when another process does so."""
        results = cls._existing(folder)
        results._hold()
        try:
            results._load()
        except BaseException:
            results.close()
            raise
        return results

    @classmethod
    def begin(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """Results to be added to until closed: a new folder, or one whose run is the same in all but its extent. The
        configuration then is that of both.

        A run that answered nothing binds nothing: another one may take its folder. Raises UsageError that names what
        differs, when another process writes there, and where no folder can be made.
        """
        check_free(folder)
        make_folder(folder)
        results = cls(folder)
        results._hold()
        try:
            if (folder / CONFIG).is_file():
                results._load()
                results._agree(config)
                if results._rows:
                    config = joined([(str(folder), results.config), (str(folder), config)])
            write_whole(results.folder / CONFIG, json.dumps(config, indent=2) + "\n")
        except BaseException:
            results.close()
            raise
        return results

    def close(self) -> None:
        """Let other processes write there. Again does no harm."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def config(self) -> dict[str, Any]:
        """What was measured, with what. Raises InputError when it cannot be read."""
        path = self.folder / CONFIG
        try:
            loaded = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is damaged: {error}", fix="restore it from a copy") from error
        if not isinstance(loaded, dict) or not isinstance(loaded.get("identity"), dict):
            raise InputError(f"{path} is damaged: it says nothing of the run", fix="restore it from a copy")
        return loaded

    @property
    def rows(self) -> list[Row]:
        """Every row, in the order of their keys; of a question that failed and was asked again, the last."""
        return [self._rows[key] for key in sorted(self._rows, key=lambda key: json.dumps(key))]

    def __iter__(self) -> Iterator[Row]:
        """The rows in the order in which they were measured."""
        return iter(self._rows.values())

    def answered(self) -> dict[Key, Answered]:
        """What was answered on each context."""
        found: dict[Key, Answered] = {}
        for row in self:
            if not row["error"]:
                found.setdefault(key_of(row, UNIT), {})[row["mode"], row["turn"]] = row["prompt_sha"]
        return found

    def add(self, rows: Iterable[Row]) -> None:
        """Append the rows of one context; they are on the disk when this returns."""
        kept = list(rows)
        with (self.folder / ROWS).open("a", encoding="utf-8") as file:
            file.write(_lines(kept))
            file.flush()
            os.fsync(file.fileno())
        self._rows.update((key_of(row), row) for row in kept)

    def replace(self, rows: Iterable[Row]) -> None:
        """Write all rows anew, as after scoring them again; the old ones stay until the new ones are whole."""
        self._rows = {key_of(row): row for row in rows}
        write_whole(self.folder / ROWS, _lines(self._rows.values()))

    @classmethod
    def _existing(cls, folder: Path) -> Self:
        if not (folder / CONFIG).is_file():
            raise InputError(f"{folder} holds no results", fix="give a folder that `farspan eval run -o` wrote")
        return cls(folder)

    def _hold(self) -> None:
        self._lock = hold(self.folder)
        if self._lock is None:
            raise UsageError(f"another run writes to {self.folder}", fix="wait for it, or give another folder with -o")

    def _load(self) -> None:
        path, packed = self.folder / ROWS, self.folder / PACKED
        if not path.is_file() and packed.is_file():
            text = _unpacked(packed)
            if self._lock is not None:
                write_whole(self.folder / ROWS, text)
            data = text.encode()
        else:
            data = path.read_bytes() if path.is_file() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data) and self._lock is not None:
            os.truncate(path, whole)
        for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
            row = _row(path, number, line)
            self._rows[key_of(row)] = row

    def _agree(self, config: Mapping[str, Any]) -> None:
        """Refuse to mix answers of two runs. Where nothing was answered there are none to mix: failed rows go."""
        told = difference(self.folder, self.config, "this run", config)
        if not told:
            return
        if any(not row["error"] for row in self):
            raise UsageError(told, fix="give another folder with -o, or run with what was used there")
        self.replace(())


def check_free(folder: Path) -> None:
    """Raise UsageError where no run can be kept, without making anything: other files are there, or no folder can be.

    Looked at before a model is loaded.
    """
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"the folder {folder} cannot be made in {above}", fix="give another folder with -o")
    if above == folder and not (folder / CONFIG).is_file() and _foreign(folder):
        raise UsageError(f"{folder} holds other files", fix="give a new folder with -o")


def _foreign(folder: Path) -> bool:
    """Whether a folder holds what no run of ours leaves there."""
    return any(path.name != LOCK and not path.name.endswith(FRESH) for path in folder.iterdir())


def _unpacked(path: Path) -> str:
    try:
        return lzma.decompress(path.read_bytes()).decode()
    except (lzma.LZMAError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}", fix="restore it from a copy") from error


def _lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
        missing = _NEEDED - row.keys()
    except (ValueError, AttributeError) as error:
        raise InputError(f"{path}, line {number}, is no row: {error}", fix="remove the line") from error
    if missing:
        raise InputError(f"{path}, line {number}, lacks {', '.join(sorted(missing))}", fix="remove the line")
    assert isinstance(row, dict)
    return row
