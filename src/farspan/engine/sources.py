"""From what an answer attended to, to the spans of the user's text that it drew on."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from farspan.engine.watch import Watch
from farspan.text import Spans, TextSpool
from farspan.types import Source

_GAP_TOKENS = 16
_MOST_SOURCES = 5
_MOST_CHARS = 240
_ENDS = ".!?\n"


class Places(Protocol):
    """Where tokens stand in the user's text."""

    @property
    def spool(self) -> TextSpool:
        """The text."""
        ...

    def spans(self, positions: np.ndarray) -> Spans:
        """The offsets of tokens in the spool."""
        ...


def find_sources(watch: Watch, places: Places) -> list[Source]:
    """The spans with most attention, best first; weights are shares of all attention to the user's text.

    Every attended token counts with the square of its weight, so that one head that looks at one place says more than
    many that look everywhere. Tokens within a few of each other are one span, which is widened to its sentence.
    """
    position_n, weight_n = (value.numpy() for value in watch.noted())
    at_p, which_n = np.unique(position_n, return_inverse=True)
    weight_p = np.bincount(which_n, weights=np.square(weight_n), minlength=len(at_p))
    start_p, end_p = places.spans(at_p)
    text_p = start_p >= 0
    at_p, weight_p, start_p, end_p = at_p[text_p], weight_p[text_p], start_p[text_p], end_p[text_p]
    if not len(at_p) or not weight_p.sum():
        return []
    cuts = np.flatnonzero(np.diff(at_p) > _GAP_TOKENS) + 1
    groups = [group for group in np.split(np.arange(len(at_p)), cuts) if len(group)]
    groups.sort(key=lambda group: -weight_p[group].sum())
    total = float(weight_p.sum())
    return [_source(places.spool, group, weight_p, start_p, end_p, total) for group in groups[:_MOST_SOURCES]]


def _source(
    spool: TextSpool, group: np.ndarray, weight_p: np.ndarray, start_p: np.ndarray, end_p: np.ndarray, total: float
) -> Source:
    best = group[weight_p[group].argmax()]
    inside = [at for at in group if abs(int(start_p[at]) - int(start_p[best])) < _MOST_CHARS]
    start, end = _widened(spool, int(start_p[inside[0]]), int(end_p[inside[-1]]))
    place = spool.place(start)
    return Source(
        file=place.file,
        start=place.offset,
        end=place.offset + end - start,
        line=place.line,
        text=spool.slice(start, end),
        weight=float(weight_p[group].sum()) / total,
    )


def _widened(spool: TextSpool, start: int, end: int) -> tuple[int, int]:
    """Widen a span to the sentence or line around it, within limits and within its document."""
    document = spool.document(spool.place(start).document)
    low, high = max(document.start, start - _MOST_CHARS), min(document.end, end + _MOST_CHARS)
    before, after = spool.slice(low, start), spool.slice(end, high)
    begin = max(before.rfind(mark) for mark in _ENDS) + 1
    begin += len(before[begin:]) - len(before[begin:].lstrip())
    stop = min((at + 1 for mark in _ENDS if (at := after.find(mark)) >= 0), default=len(after))
    if spool.slice(start, end)[-1:] in _ENDS:
        stop = 0
    return low + begin, end + len(after[:stop].rstrip())
