"""Where the reading of a conversation is noted, so that others who begin alike can go on from there.

Nobody knows beforehand where the next request will differ; mostly it is near the end of a long text, where a question
follows it. So it is noted some 256 characters before the end of a text, and 2,000, 16,000 and 128,000 where it is long
enough, at the beginning of a paragraph where there is one; and before the last message.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from farspan.engine.conversation import Markup, Part, Passage

_BEFORE_THE_END = (131_072, 16_384, 2_048, 256)
_MARKS = ("\n\n", "\n", ". ", " ")
_LEAST_CITED = _LEAST_NOTED = 256


@dataclass(frozen=True, slots=True)
class Stop:
    """A part to read, and whether to note that it was."""

    part: Part
    noted: bool = False


def stops(parts: Sequence[Part]) -> list[Stop]:
    """The parts of a conversation, long passages in pieces, the last passage's last paragraph set apart as question.

    Short texts and the question are read but never cited.
    """
    last = max((at for at, part in enumerate(parts) if isinstance(part, Passage)), default=-1)
    found: list[Stop] = []
    for at, part in enumerate(parts):
        if isinstance(part, Markup):
            found.append(Stop(part, noted=at + 1 == last and _chars_since_noted(found) >= _LEAST_NOTED))
            continue
        pieces = _pieces(part)
        found += [Stop(_citable(piece), noted=True) for piece in pieces[:-1]]
        found += map(Stop, _question_apart(pieces[-1]) if at == last else [_citable(pieces[-1])])
    return found


def _chars_since_noted(found: Sequence[Stop]) -> int:
    since = itertools.takewhile(lambda stop: not stop.noted, reversed(found))
    return sum(len(stop.part.text) for stop in since if isinstance(stop.part, Passage))


def _pieces(passage: Passage) -> list[Passage]:
    pieces = []
    for before_end in _BEFORE_THE_END:
        if len(passage.text) < 2 * before_end:
            continue
        at = _paragraph(passage.text, len(passage.text) - before_end)
        pieces.append(replace(passage, text=passage.text[:at]))
        passage = passage.after(at)
    return [*pieces, passage]


def _paragraph(text: str, at: int) -> int:
    """The beginning of the first paragraph from there on, else line, sentence or word; else just there."""
    end = at + (len(text) - at) // 2
    return next((found + len(mark) for mark in _MARKS if (found := text.find(mark, at, end)) >= 0), at)


def _question_apart(passage: Passage) -> list[Passage]:
    """The last paragraph by itself."""
    cut = passage.text.rstrip().rfind("\n\n") + 2
    if cut < 2 or not passage.text[:cut].strip():
        return [replace(passage, name=None)]
    return [replace(passage, text=passage.text[:cut]), replace(passage.after(cut), name=None)]


def _citable(passage: Passage) -> Passage:
    short = len(passage.text) < _LEAST_CITED and not passage.rest[0]
    return replace(passage, name=None) if short or not passage.text.strip() else passage
