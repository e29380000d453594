"""EPUB to text: the pages of the book in reading order."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast
from urllib.parse import unquote

from farspan.errors import InputError
from farspan.text.formats.archive import archive, tree
from farspan.text.formats.html import read as read_html

_BETWEEN = "\n\n"
_PAGES = ("application/xhtml+xml", "text/html")


def read(file: BinaryIO, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The text of all pages in the spine, a blank line between them. InputError when damaged or encrypted."""
    with archive(file, name, "EPUB") as members:
        pages = _spine(members)
        locked = _encrypted(members).intersection(pages)
        if locked:
            raise InputError(
                f"{name} is an encrypted EPUB: {len(locked)} of its {len(pages)} pages",
                fix="give a copy without DRM",
            )
        before, started = "", False
        for page in pages:
            with members.open(page) as stream:
                for part in read_html(cast(BinaryIO, stream), f"{name}:{page}", notice):
                    yield before * bool(part) + part
                    before = "" if part else before
                    started = started or bool(part)
            before = _BETWEEN * started


def _spine(members: zipfile.ZipFile) -> list[str]:
    package = next(
        node.attrib["full-path"]
        for node in tree(members, "META-INF/container.xml").iter()
        if "full-path" in node.attrib
    )
    root, folder = tree(members, package), posixpath.dirname(package)
    items = {
        node.attrib["id"]: posixpath.normpath(posixpath.join(folder, unquote(node.attrib["href"])))
        for node in root.iterfind(".//{*}manifest/{*}item")
        if node.attrib.get("media-type") in _PAGES
    }
    spine = root.iterfind(".//{*}spine/{*}itemref")
    read_in_order = [node.attrib["idref"] for node in spine if node.attrib.get("linear") != "no"]
    return [items[number] for number in read_in_order if number in items]


def _encrypted(members: zipfile.ZipFile) -> set[str]:
    """Encrypted members; most books that have such a list only hide their fonts."""
    if "META-INF/encryption.xml" not in members.namelist():
        return set()
    references = tree(members, "META-INF/encryption.xml").iterfind(".//{*}CipherReference")
    return {posixpath.normpath(unquote(node.attrib["URI"])) for node in references}
