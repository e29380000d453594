"""A spool as who only reads it sees it: as it is, or as it was once."""

from __future__ import annotations

from typing import Protocol

from farspan.text.spool import Place, SpoolDocument


class Spooled(Protocol):
    """What a TextSpool and a part of one have in common."""

    chars: int

    def __len__(self) -> int:
        """The number of documents."""

    def document(self, number: int) -> SpoolDocument:
        """The document with that number, from 0."""

    def slice(self, start: int, end: int) -> str:
        """The text of the global offsets `[start, end)`."""

    def place(self, offset: int) -> Place:
        """The document, its own offset and the line of a global offset in `[0, chars]`."""


class SpoolThen:
    """A spool as it was when this was made, up to `chars`, while it goes on."""

    def __init__(self, spool: Spooled, chars: int) -> None:
        self._spool = spool
        self._documents = len(spool)
        self.chars: int = chars

    def __len__(self) -> int:
        return self._documents

    def document(self, number: int) -> SpoolDocument:
        """The document with that number, with the text that it had."""
        found = self._spool.document(number)
        return found._replace(end=min(found.end, self.chars))

    def slice(self, start: int, end: int) -> str:
        """The text of the global offsets `[start, end)`."""
        return self._spool.slice(start, min(end, self.chars))

    def place(self, offset: int) -> Place:
        """The document, its own offset and the line of a global offset in `[0, chars]`."""
        return self._spool.place(offset)
