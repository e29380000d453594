"""Prose to train on: what a few Debian packages carry under free licences, read from their unpacked folders.

Fetch and unpack the packages once (no installation needed), as `texts` says; then give the folder as `corpus=DIR`.
War and Peace and Moby Dick are not among them: they stay unseen, so that quotes from them are a test.
"""

from __future__ import annotations

import gzip
import hashlib
import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from farspan.errors import InputError
from farspan.text.formats.html import extract

LEAST = 2000
"""Texts of no more characters are left out."""

_R_STRING = re.compile(rb"\x00[\x04\x08]\x00\x09(....)", re.DOTALL)
_PROBE = 64
"""Bytes that are tried first: on an error zlib copies all that it was given."""
_ACCENTS = str.maketrans("aeiou", "\u00e1\u00e9\u00ed\u00f3\u00fa")


def texts(folder: Path) -> list[str]:
    """All the prose found under `folder`, one string a book or page, in a fixed order.

    Raises InputError that names what is missing, for a recipe needs all; its fix is the command that fetches it.
    """
    found: list[str] = []
    missing = []
    for package, read in PACKAGES.items():
        prose = [text for text in read(folder) if len(text) > LEAST]
        if not prose:
            missing.append(package)
        found += prose
    if missing:
        raise InputError(
            f"no training text of {', '.join(missing)} under {folder}",
            fix=f"run in an empty folder: apt-get download {' '.join(missing)} && "
            f"for deb in *.deb; do dpkg-deb -x $deb DIR; done, where DIR is what corpus=DIR names",
        )
    return found


def name(texts: Iterable[str]) -> str:
    """A few letters that tell one collection of texts from another."""
    told = hashlib.sha256()
    for text in texts:
        told.update(text.encode("utf-8", errors="surrogatepass") + b"\0")
    return told.hexdigest()[:12]


def _novels(folder: Path) -> Iterator[str]:
    path = folder / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    if path.exists():
        yield from r_strings(path.read_bytes())


def _pages(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "usr/share/doc/anarchism/html").glob("*.html")):
        yield from_html(path.read_text("utf-8", errors="replace"))


def _opticks(folder: Path) -> Iterator[str]:
    for path in sorted((folder / "usr/share").glob("go-*/src/testdata/Isaac.Newton-Opticks.txt")):
        yield path.read_text("utf-8", errors="replace")


def _dictionary(name: str) -> Callable[[Path], Iterator[str]]:
    def read(folder: Path) -> Iterator[str]:
        path = folder / "usr/share/dictd" / f"{name}.dict.dz"
        if not path.exists():
            return
        try:
            yield gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is damaged: {error}", fix=f"unpack dict-{name} again") from error

    return read


PACKAGES: dict[str, Callable[[Path], Iterator[str]]] = {
    "r-cran-janeaustenr": _novels,
    "anarchism": _pages,
    "golang-1.19-src": _opticks,
    "dict-devil": _dictionary("devil"),
    "dict-jargon": _dictionary("jargon"),
}
"""The packages, in the order in which their texts come, and what reads one's texts from the unpacked folder."""


def r_strings(data: bytes) -> Iterator[str]:
    """The long character vectors of an R lazy-load database, each joined by newlines (one book each)."""
    at, whole = 0, memoryview(data)
    while at + 8 < len(data):
        packed = zlib.decompressobj()
        try:
            zlib.decompressobj().decompress(whole[at + 4 : at + 4 + _PROBE])
            raw = packed.decompress(whole[at + 4 :])
        except zlib.error:
            at += 1
            continue
        at = len(data) - len(packed.unused_data)
        lines = []
        for match in _R_STRING.finditer(raw):
            size = int.from_bytes(match[1], "big")
            if size < 1000:
                lines.append(raw[match.end() : match.end() + size].decode("utf-8", errors="replace"))
        yield "\n".join(lines)


def from_html(page: str) -> str:
    """The text of an HTML page."""
    return "".join(extract([page]))


def vary(text: str, rng: random.Random) -> str:
    """Typography as other editions have it: curly quotes, a few accented words, lines joined or wrapped anew."""
    if rng.random() < 0.6:
        text = re.sub(r'"(?=\w)', "\u201c", text).replace('"', "\u201d").replace("'", "\u2019")
    if rng.random() < 0.3:
        text = re.sub(r"\b[A-Z]\w{4,}", lambda name: _accented(name[0], rng), text)
    if rng.random() < 0.5:
        text = re.sub(r"(?<=\S)\n(?=\S)", " ", text)
    return text


def _accented(name: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(name))
    return name[:at] + name[at].translate(_ACCENTS) + name[at + 1 :] if rng.random() < 0.5 else name
