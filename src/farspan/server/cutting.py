"""Where the reading of a conversation is noted, so that others who begin alike can go on from there.

Nobody knows beforehand where the next request will differ; mostly it is near the end of a long text, where a question
follows it. So it is noted before the last paragraph of a text, or 256 characters before its end where that has none;
some 2,000, 16,000 and 128,000 before it where it is long enough, at the beginning of a paragraph; and before the last
message.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from farspan.engine.conversation import Markup, Part, Passage

_BEFORE_THE_END = (131_072, 16_384, 2_048)
_LAST = 256
_MARKS = ("\n\n", "\n", ". ", " ")
LEAST_CITED = _LEAST_NOTED = 256


@dataclass(frozen=True, slots=True)
class Stop:
    """A part to read, whether to note that it was, and whether answers may cite it."""

    part: Part
    noted: bool = False
    cited: bool = False


def stops(parts: Sequence[Part]) -> list[Stop]:
    """The parts of a conversation, passages in pieces. The last piece of the last passage is the question.

    Short texts and the question are read but never cited. The rest of a text is cut as it is behind its beginning, and
    what is cited is decided by the whole, so that who goes on in the middle has the same parts as who reads it all.
    """
    last = max((at for at, part in enumerate(parts) if isinstance(part, Passage)), default=-1)
    found: list[Stop] = []
    for at, part in enumerate(parts):
        if isinstance(part, Markup):
            found.append(Stop(part, noted=at + 1 == last and _chars_since_noted(found) >= _LEAST_NOTED))
            continue
        if at != last and part.rest[0] + len(part.text) < LEAST_CITED:
            found.append(Stop(part))
            continue
        *pieces, end = _pieces(part)
        for piece in pieces:
            chars = _chars_since_noted(found) + len(piece.text)
            found.append(Stop(piece, noted=chars >= _LEAST_NOTED, cited=_citable(piece)))
        found.append(Stop(end, cited=at != last and _citable(end)))
    return found


def cut(passage: Passage) -> list[Passage]:
    """A text in two, the second some 256 characters at its end; in one where it is not twice as long."""
    if len(passage.text) < 2 * _LAST:
        return [passage]
    at = _paragraph(passage.text, len(passage.text) - _LAST)
    return [replace(passage, text=passage.text[:at]), passage.after(at)]


def _chars_since_noted(found: Sequence[Stop]) -> int:
    since = itertools.takewhile(lambda stop: not stop.noted, reversed(found))
    return sum(len(stop.part.text) for stop in since if isinstance(stop.part, Passage))


def _pieces(passage: Passage) -> list[Passage]:
    pieces = []
    for before_end in _BEFORE_THE_END:
        if len(passage.text) >= 2 * before_end:
            at = _paragraph(passage.text, len(passage.text) - before_end)
            pieces.append(replace(passage, text=passage.text[:at]))
            passage = passage.after(at)
    at = _last_paragraph(passage.text)
    return [*pieces, *([replace(passage, text=passage.text[:at]), passage.after(at)] if at else [passage])]


def _last_paragraph(text: str) -> int:
    """Where the last paragraph begins; in a longer text without one, some way before the end; else 0."""
    at = text.rstrip().rfind("\n\n") + 2
    if at >= 2 and text[:at].strip():
        return at
    return _paragraph(text, len(text) - _LAST) if len(text) >= 2 * _LAST else 0


def _paragraph(text: str, at: int) -> int:
    """The beginning of the first paragraph from there on, else line, sentence or word; else just there."""
    end = at + (len(text) - at) // 2
    return next((found + len(mark) for mark in _MARKS if (found := text.find(mark, at, end)) >= 0), at)


def _citable(passage: Passage) -> bool:
    return passage.name is not None and bool(passage.text.strip())
