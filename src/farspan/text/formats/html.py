"""HTML to readable text: block elements on lines of their own, no scripts, styles or markup."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from html.parser import HTMLParser
from typing import BinaryIO

from farspan.text.formats.encoding import decoded, detect_encoding, marked_encoding

_HIDDEN = frozenset("script style template title noscript svg select iframe object".split())
_LINES = frozenset(
    "address article aside body br dd details dialog div dl dt fieldset figcaption footer form header hr li main nav"
    " option section summary tr".split()
)
_PARAGRAPHS = frozenset("blockquote figure h1 h2 h3 h4 h5 h6 ol p pre table ul".split())
_SPACE = re.compile(r"[ \t\r\n\f]+")
_DECLARED = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)


def read(file: BinaryIO, name: str, notice: Callable[[str], None]) -> Iterator[str]:
    """The readable text of an HTML page."""
    file.seek(0)
    head = file.read(4096)
    encoding = marked_encoding(head) or _declared_encoding(head) or detect_encoding(file) or "utf-8"
    yield from extract(decoded(file, encoding, name, notice))


def extract(parts: Iterable[str]) -> Iterator[str]:
    """Markup in parts to readable text in parts."""
    parser = _Extractor()
    for part in parts:
        parser.feed(part)
        yield parser.taken()
    parser.close()
    yield parser.taken()


def _declared_encoding(head: bytes) -> str | None:
    match = _DECLARED.search(head)
    if match is None:
        return None
    try:
        found = codecs.lookup(match[1].decode()).name
    except LookupError:
        return None
    # What could be searched for "charset=" byte by byte is not UTF-16, whatever it says.
    return None if found.startswith(("utf-16", "utf-32")) else found


class _Extractor(HTMLParser):
    """Collects text; `gap` newlines or a space are due before the next word."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._out: list[str] = []
        self._gap = 0
        self._space = self._started = False
        self._hidden: list[str] = []
        self._pre = 0

    def taken(self) -> str:
        text = "".join(self._out)
        self._out.clear()
        return text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif not self._hidden:
            self._break(tag)
            self._pre += tag == "pre"
            if tag == "li":
                self._put("- ")
            elif tag in ("td", "th") and self._started and not self._gap:
                self._put("\t")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _HIDDEN:
            self.handle_starttag(tag, attrs)
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif not self._hidden and tag not in ("br", "hr"):
            self._break(tag)
            self._pre = max(self._pre - (tag == "pre"), 0)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._pre:
            self._put(data)
            return
        words = _SPACE.sub(" ", data)
        self._space = self._space or words.startswith(" ")
        if words.strip(" "):
            self._put(words.strip(" "))
            self._space = words.endswith(" ")

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._gap = 2
        elif tag in _LINES:
            self._gap = max(self._gap, 1)

    def _put(self, text: str) -> None:
        if self._started and self._gap:
            self._out.append("\n" * self._gap)
        elif self._started and self._space and text != "\t" and not self._after_mark:
            self._out.append(" ")
        self._after_mark = text in ("- ", "\t")
        self._out.append(text)
        self._gap, self._space, self._started = 0, False, True

    _after_mark = False
