"""Text as it stands: .txt, Markdown, source code, logs, CSV, JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from farspan.text.formats.encoding import decoded, detect_encoding


def read(file: BinaryIO, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The decoded file, its line ends untouched."""
    yield from decoded(file, detect_encoding(file) or "utf-8", name, notice)
