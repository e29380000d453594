"""The file formats: one module each, with one function `read(file, name, notice)` that gives the text in parts.

`file` is open for reading bytes and can seek; `notice` is told what was read but not as it stands. A reader raises
InputError for a file that it cannot read. A module is imported when a file of its format is read.
"""

from __future__ import annotations

import importlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import BinaryIO

from farspan.errors import InputError
from farspan.text.formats.encoding import detect_encoding

Reader = Callable[[BinaryIO, str, Callable[[str], None]], Iterator[str]]

_HEAD = 65_536
_SUFFIXES = {
    ".pdf": "pdf",
    ".epub": "epub",
    ".docx": "docx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
_HTML_STARTS = (b"<!doctype html", b"<html")
_PDF_MARK = b"%PDF-"
_PDF_REACH = 1024
_BLANK = b"\xef\xbb\xbf \t\r\n"  # of UTF-8, with its byte order mark
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def reader(kind: str) -> Reader:
    """The `read` function of the format with that name."""
    read: Reader = importlib.import_module(f"farspan.text.formats.{kind}").read
    return read


def detect(file: BinaryIO, name: str) -> str:
    """The format of a file, by what it begins with, then by its suffix: "plain", "html", "pdf", "epub" or "docx".

    Raises InputError when the file is empty, or neither text nor one of these.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if not head:
        raise InputError(f"{name} is empty (0 bytes)", fix="give a file with text")
    suffix = PurePath(name).suffix.lower()
    if head.startswith(b"PK\x03\x04"):
        kind = _zip_kind(file, suffix)
    elif _is_pdf(head):
        kind = "pdf"
    elif suffix in _SUFFIXES:
        kind = _SUFFIXES[suffix]
    elif not suffix or name.startswith("<"):
        kind = "html" if head.lstrip(_BLANK)[:20].lower().startswith(_HTML_STARTS) else "plain"
    else:
        kind = "plain"
    if kind is None or (kind in ("plain", "html") and detect_encoding(file) is None):
        raise InputError(
            f"{name} is a binary file: its first {len(head)} bytes are no text of any encoding known",
            fix="give text, Markdown, source code, HTML, PDF, EPUB or DOCX; convert other formats to one of these",
        )
    return kind


def _is_pdf(head: bytes) -> bool:
    """Whether it begins with the mark of a PDF, or has it further on behind what is no text, as some programs write."""
    at = head.find(_PDF_MARK, 0, _PDF_REACH)
    before = head[: max(at, 0)].lstrip(_BLANK)
    return at >= 0 and (not before or bool(_CONTROL.search(before)) or detect_encoding(io.BytesIO(before)) is None)


def _zip_kind(file: BinaryIO, suffix: str) -> str | None:
    try:
        names = set(zipfile.ZipFile(file).namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        names = set()
    if "META-INF/container.xml" in names and any(name.endswith(".opf") for name in names):
        return "epub"
    if "[Content_Types].xml" in names and any(name.startswith("word/") for name in names):
        return "docx"
    return _SUFFIXES.get(suffix)
