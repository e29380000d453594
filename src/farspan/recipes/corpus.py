"""Prose to train on: what a few Debian packages carry under free licences, read from their unpacked folders.

Fetch and unpack the packages once (no installation needed), see `FETCH`; then give the folder as `corpus=DIR`.
War and Peace and Moby Dick are not among them: they stay unseen, so that quotes from them are a test.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import random
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from farspan.errors import InputError

PACKAGES = ("r-cran-janeaustenr", "anarchism", "golang-1.19-src", "dict-devil", "dict-jargon")
FETCH = f"apt-get download {' '.join(PACKAGES)} && for deb in *.deb; do dpkg-deb -x $deb DIR; done"

_R_STRING = re.compile(rb"\x00[\x04\x08]\x00\x09(....)", re.DOTALL)
_TAG = re.compile(r"<(script|style|head)\b.*?</\1>|<[^>]+>", re.DOTALL | re.IGNORECASE)
_ACCENTS = str.maketrans("aeiou", "\u00e1\u00e9\u00ed\u00f3\u00fa")


def texts(folder: Path) -> list[str]:
    """All the prose found under `folder`, one string a book or page, in a fixed order.

    Raises InputError when the packages are not there; its fix is the command that fetches them.
    """
    found = [text for text in _read_all(folder) if len(text) > 2000]
    if not found:
        raise InputError(f"no training text under {folder}", fix=f"run in an empty folder: {FETCH}")
    return found


def name(texts: Iterable[str]) -> str:
    """A few letters that tell one collection of texts from another."""
    told = hashlib.sha256()
    for text in texts:
        told.update(text.encode("utf-8", errors="surrogatepass") + b"\0")
    return told.hexdigest()[:12]


def _read_all(folder: Path) -> Iterator[str]:
    share = folder / "usr" / "share"
    austen = folder / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
    if austen.exists():
        yield from r_strings(austen.read_bytes())
    for path in sorted((share / "doc/anarchism/html").glob("*.html")):
        yield from_html(path.read_text("utf-8", errors="replace"))
    for path in sorted(share.glob("go-*/src/testdata/Isaac.Newton-Opticks.txt")):
        yield path.read_text("utf-8", errors="replace")
    for path in sorted((share / "dictd").glob("*.dict.dz")):
        yield gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")


def r_strings(data: bytes) -> Iterator[str]:
    """The long character vectors of an R lazy-load database, each joined by newlines (one book each)."""
    at = 0
    while at + 8 < len(data):
        try:
            raw = zlib.decompressobj().decompress(data[at + 4 :])
        except zlib.error:
            at += 1
            continue
        at += 4 + _packed_size(data[at + 4 :])
        lines = []
        for match in _R_STRING.finditer(raw):
            size = int.from_bytes(match[1], "big")
            if size < 1000:
                lines.append(raw[match.end() : match.end() + size].decode("utf-8", errors="replace"))
        yield "\n".join(lines)


def _packed_size(data: bytes) -> int:
    stream = zlib.decompressobj()
    stream.decompress(data)
    return len(data) - len(stream.unused_data)


def from_html(page: str) -> str:
    """The text of an HTML page, blank runs folded."""
    text = html.unescape(_TAG.sub("", page))
    return re.sub(r"[ \t]+", " ", re.sub(r"\s*\n\s*\n\s*", "\n\n", text)).strip()


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
