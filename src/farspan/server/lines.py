"""Lines of JSON that are added to a file, of which the last may be torn: the process was killed, or the disk full."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

_LINE = b"\n"


def note(path: Path, values: Iterable[Any]) -> None:
    """Add a line for each of these, behind the last whole one."""
    lines = "".join(json.dumps(value) + "\n" for value in values)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(_LINE) + 1)
        file.write(lines.encode())


def noted(path: Path) -> list[Any]:
    """What was added, without lines that cannot be read; nothing where there is no such file."""
    found = []
    for line in path.read_bytes().split(_LINE) if path.is_file() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
