"""Passages of the text that a session has read: where given words stand, and which sentence is most like a reply."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from farspan.text import SpoolDocument, Spooled
from farspan.types import Source

_PIECE = 65_536
_LEAST_SHARE = 0.5
_CJK = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(f"[^\\W{_CJK}]+|[{_CJK}]")
_SENTENCE_END = re.compile("(?<=[.!?])\\s+|\\s*\\n\\s*|(?<=[\u3002\uff01\uff1f])")

Span = tuple[int, int]


class _Likeness(NamedTuple):
    """How alike a sentence is to a reply: twice the shared words over all words of both; and of the reply's, which."""

    score: float
    share: float


def occurrences(spool: Spooled, text: str) -> Iterator[Span]:
    """Every place `[start, end)` in the spool where the text stands in one document, none overlapping."""
    for document in _documents(spool):
        start = document.start
        while start < document.end:
            piece = spool.slice(start, min(document.end, start + _PIECE + len(text) - 1))
            at = piece.find(text)
            if at < 0:
                start += _PIECE
            else:
                yield start + at, start + at + len(text)
                start += at + len(text)


def place_of(spool: Spooled, source: Source) -> Iterator[Span]:
    """Where a source stands in the spool: in every document of its file's name that has its text there."""
    for document in _documents(spool):
        span = document.start + source.start, document.start + source.end
        if document.name == source.file and spool.slice(*span) == source.text:
            yield span


def likest_sentence(spool: Spooled, reply: str) -> Span | None:
    """The sentence that shares most words with a reply, the first of equal ones; None when none has half of them."""
    words = _words(reply)
    best: tuple[float, Span] | None = None
    for start, text in sentences(spool):
        alike = _likeness(_words(text), words)
        if alike.share >= _LEAST_SHARE and (best is None or alike.score > best[0]):
            best = alike.score, (start, start + len(text))
    return None if best is None else best[1]


def sentences(spool: Spooled) -> Iterator[tuple[int, str]]:
    """The sentences and lines of the text, each with where it begins; one without end is cut after some thousands."""
    for document in _documents(spool):
        start = document.start
        while start < document.end:
            piece = spool.slice(start, min(document.end, start + _PIECE))
            cuts = [(0, 0), *(match.span() for match in _SENTENCE_END.finditer(piece))]
            if start + len(piece) == document.end or len(cuts) == 1:
                cuts.append((len(piece), len(piece)))
            for (_, begin), (end, _) in pairwise(cuts):
                if end > begin:
                    yield start + begin, piece[begin:end]
            start += cuts[-1][1]


def _documents(spool: Spooled) -> Iterator[SpoolDocument]:
    return map(spool.document, range(len(spool)))


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _likeness(sentence: Counter[str], reply: Counter[str]) -> _Likeness:
    shared = (sentence & reply).total()
    if not shared:
        return _Likeness(0.0, 0.0)
    return _Likeness(2 * shared / (sentence.total() + reply.total()), shared / reply.total())


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap as one."""
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(end, out[-1][1])
        else:
            out.append((start, end))
    return out
