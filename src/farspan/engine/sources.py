"""From what an answer attended to, to the spans of the user's text that it drew on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from farspan.engine.watch import Watch
from farspan.text import Spans, SpoolDocument, Spooled
from farspan.types import Source

_GAP_TOKENS = 16
_MOST_SOURCES = 5
_MOST_CHARS = 240
_FAIR_SHARE = 0.1
_ENDS = ".!?\n"


class Places(Protocol):
    """Where tokens stand in the user's text."""

    @property
    def spool(self) -> Spooled:
        """The text."""
        ...

    def spans(self, positions: np.ndarray) -> Spans:
        """The offsets of tokens in the spool."""
        ...

    def tokens(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Runs of tokens that stand for characters in these spans of the spool, which ascend and do not overlap."""
        ...


class _Attended(NamedTuple):
    """Tokens of the user's text that were attended to: number in the stream, weight, characters `[start, end)`."""

    at_p: np.ndarray
    weight_p: np.ndarray
    start_p: np.ndarray
    end_p: np.ndarray

    def part(self, which: np.ndarray) -> _Attended:
        return _Attended(*(value[which] for value in self))


def find_sources(watch: Watch, places: Places) -> list[Source]:
    """The spans with most attention, best first; weights are shares of all attention to the user's text.

    Every attended token counts with the square of its weight (see `Watch`). Tokens within a few of each other are one
    span, which is widened to its sentence.
    """
    attended = _attended(watch, places)
    total = float(attended.weight_p.sum())
    if not total:
        return []
    cuts = np.flatnonzero(np.diff(attended.at_p) > _GAP_TOKENS) + 1
    groups = [attended.part(which) for which in np.split(np.arange(len(attended.at_p)), cuts)]
    groups.sort(key=lambda group: -group.weight_p.sum())
    return [_source(places.spool, group, total) for group in groups[:_MOST_SOURCES]]


def _attended(watch: Watch, places: Places) -> _Attended:
    at_p, weight_p = (value.numpy() for value in watch.noted())
    start_p, end_p = places.spans(at_p)
    return _Attended(at_p, weight_p, start_p, end_p).part(start_p >= 0)


def _source(spool: Spooled, group: _Attended, total: float) -> Source:
    """The source of a group: from the first to the last token, near the best, that has a fair share of its weight."""
    best = int(group.weight_p.argmax())
    document = spool.document(spool.place(int(group.start_p[best])).document)
    fair = group.weight_p >= _FAIR_SHARE * group.weight_p[best]
    close = np.abs(group.start_p - group.start_p[best]) < _MOST_CHARS
    inside = (group.start_p >= document.start) & (group.end_p <= document.end)
    chosen = group.part(fair & close & inside)
    start, end = _widened(spool, document, int(chosen.start_p.min()), int(chosen.end_p.max()))
    place = spool.place(start)
    return Source(
        file=place.file,
        start=place.offset,
        end=place.offset + end - start,
        line=place.line,
        text=spool.slice(start, end),
        weight=float(group.weight_p.sum()) / total,
    )


def _widened(spool: Spooled, document: SpoolDocument, start: int, end: int) -> tuple[int, int]:
    """Widen a span to the sentence or line around it, within limits and within its document."""
    low, high = max(document.start, start - _MOST_CHARS), min(document.end, end + _MOST_CHARS)
    before, after = spool.slice(low, start), spool.slice(end, high)
    begin = max(before.rfind(mark) for mark in _ENDS) + 1
    begin += len(before[begin:]) - len(before[begin:].lstrip())
    stop = min((at + 1 for mark in _ENDS if (at := after.find(mark)) >= 0), default=len(after))
    if spool.slice(start, end)[-1:] in _ENDS:
        stop = 0
    return low + begin, end + len(after[:stop].rstrip())
