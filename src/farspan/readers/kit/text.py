"""The text that a reader has, on disk, as tokens that can be read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from farspan.engine.transcript import Transcript
from farspan.readers.kit.sentences import sentence_ends
from farspan.text import TokenPiece

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ReadText:
    """The first `tokens` tokens of a transcript."""

    transcript: Transcript
    tokens: int

    def piece(self, start: int, end: int) -> TokenPiece:
        """Tokens `[start, end)` with their places in the text."""
        starts, ends = self.transcript.log.spans(start, end)
        return TokenPiece(self.transcript.log.ids(start, end).tolist(), starts.tolist(), ends.tolist())

    @property
    def whole(self) -> list[Range]:
        """All of it."""
        return [(0, self.tokens)]

    def ids(self, ranges: Sequence[Range]) -> list[int]:
        """The ids of several ranges behind one another."""
        return [id_ for start, end in ranges for id_ in self.transcript.log.ids(start, end).tolist()]

    def sentences(self, start: int, end: int) -> list[Range]:
        """The sentences of tokens `[start, end)`; a token belongs to the one that its last character is in."""
        starts, ends = self.transcript.log.spans(start, end)
        known = starts >= 0
        if not known.any():
            return [(start, end)]
        first, last = int(starts[known][0]), np.maximum.accumulate(ends)
        text = self.transcript.spool.slice(first, int(last[-1]))
        borders = np.array([first + at for at in sentence_ends(text)], dtype=np.int64)
        number = np.searchsorted(borders, last, side="left")
        cuts = (np.flatnonzero(np.diff(number)) + 1).tolist()
        return [(start + low, start + high) for low, high in zip([0, *cuts], [*cuts, end - start], strict=True)]

    def windows(self, length: int) -> Iterator[Range]:
        """The whole in consecutive ranges of at most `length` tokens."""
        for start in range(0, self.tokens, length):
            yield start, min(start + length, self.tokens)

    def windows_of_sentences(self, length: int) -> Iterator[list[Range]]:
        """The whole, at most `length` tokens at a time, as sentences; one that is longer than that is cut."""
        start = 0
        while start < self.tokens:
            end = min(start + length, self.tokens)
            sentences = self.sentences(start, end)
            if end < self.tokens and len(sentences) > 1:
                sentences = sentences[:-1]
            yield sentences
            start = sentences[-1][1]


def joined(numbers: Sequence[int]) -> list[Range]:
    """Ascending token numbers as ranges."""
    ranges: list[Range] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return ranges


def length(ranges: Iterable[Range]) -> int:
    """Tokens in ranges together."""
    return sum(end - start for start, end in ranges)
