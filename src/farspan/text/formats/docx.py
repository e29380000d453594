"""DOCX (Word, LibreOffice, Google Docs) to text: paragraphs on lines, table cells behind tabs, notes at the end."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from farspan.text.formats.archive import archive, chunks, tree

_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_TWICE = ("Fallback", "del", "moveFrom")  # what stands elsewhere too, or was deleted with changes tracked


def read(file: BinaryIO, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The text of the body, then the footnotes and endnotes. InputError when the file is damaged."""
    with archive(file, name, "DOCX") as members:
        body = _body(members)
        notes = [posixpath.join(posixpath.dirname(body), part) for part in ("footnotes.xml", "endnotes.xml")]
        for part in (body, *(note for note in notes if note in members.namelist())):
            yield from _text(chunks(members, part))


def _body(members: zipfile.ZipFile) -> str:
    relations = tree(members, "_rels/.rels")
    targets = [node.attrib["Target"] for node in relations if node.attrib["Type"].endswith("/officeDocument")]
    return (targets or ["word/document.xml"])[0].lstrip("/")


def _text(parts: Iterator[bytes]) -> Iterator[str]:
    words = _Words()
    parser = ElementTree.XMLParser(target=words)
    for part in parts:
        parser.feed(part)
        yield words.taken()
    parser.close()
    yield words.taken()


class _Words:
    """A target for the XML parser that keeps text and no tree."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._skipped = self._runs = 0
        self._in_text = False
        self._rows: list[int] = []  # for each table row that is open: its cells so far
        self._due = ""

    def taken(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._skipped += name in _TWICE
        self._runs += name == "r"
        self._in_text = name == "t"
        if name == "tr":
            self._rows.append(0)
        elif name == "tc" and self._rows:
            self._due = "\t" if self._rows[-1] else ""
            self._rows[-1] += 1
        elif name in _MARKS and self._runs:
            self._put(_MARKS[name])

    def end(self, tag: str) -> None:
        name = tag.rpartition("}")[2]
        self._skipped -= name in _TWICE
        self._runs -= name == "r"
        self._in_text = False
        if name == "tr":
            self._rows.pop()
        if name == "p" and self._rows:
            self._due = self._due or " "
        elif name in ("p", "tr") and not self._skipped:
            self._out.append("\n")
            self._due = ""

    def data(self, text: str) -> None:
        if self._in_text:
            self._put(text)

    def _put(self, text: str) -> None:
        if not self._skipped:
            self._out.append(self._due + text)
            self._due = ""
