"""A document that is being read into a session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from farspan.text import Document, SpoolDocument, TokenPiece
from farspan.types import Counts, Progress


@dataclass(frozen=True, slots=True)
class Underway:
    """A document, its record, its tokens from where they were read to, and whether it was `resumed`."""

    document: Document
    record: SpoolDocument
    pieces: Iterator[TokenPiece]
    resumed: bool
    began: float = field(default_factory=time.perf_counter)

    def progress(self, tokens: int, end: int, counts: Counts) -> Progress:
        """How far it has come: `tokens` were read since it began, up to the global offset `end`."""
        return Progress(
            file=self.document.name,
            tokens=tokens,
            chars=end - self.record.start,
            total_chars=self.document.total_chars,
            seconds=time.perf_counter() - self.began,
            counts=counts,
        )
