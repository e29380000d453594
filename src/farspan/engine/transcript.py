"""What a session has read, as text and as tokens with the places they came from.

It lies on disk; a fork shares its parent's until it reads text of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from farspan.engine.underway import Underway
from farspan.text import (
    Document,
    Spans,
    SpoolDocument,
    Spooled,
    SpoolThen,
    TextEncoder,
    TextSpool,
    TokenLog,
    TokenPiece,
)
from farspan.text.token_log import NO_TEXT

_CONTEXT_TOKENS = 100
_PIECE_TOKENS = 65_536


class Transcript:
    """Text and tokens of one session in `folder`."""

    def __init__(self, folder: Path, state: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.spool = TextSpool(folder, None if state is None else state["spool"])
        self.log = TokenLog(folder, None if state is None else state["tokens"])
        self._done_again = 0
        self.abandoned: set[int] = set(() if state is None else state["abandoned"])

    def __len__(self) -> int:
        return len(self.log)

    @property
    def open_files(self) -> int:
        """File descriptors that it holds: those of the spool, and that of the log."""
        return self.spool.open_files + 1

    @property
    def chars(self) -> int:
        """Characters of all documents."""
        return self.spool.chars

    @property
    def finished(self) -> bool:
        """Whether the last document was read to its end."""
        return self.spool.unfinished is None

    def add(self, ids: list[int], starts: Sequence[int] = (), ends: Sequence[int] = ()) -> None:
        """Note tokens that the model has seen, with the offsets in the spool of those that are user text."""
        self.log.append(ids, starts or None, ends or None)

    def truncate(self, tokens: int) -> None:
        """Forget all but the first tokens."""
        self.log.truncate(tokens)

    def open_document(self, document: Document) -> tuple[SpoolDocument, bool]:
        """Begin a document, or take up again the one whose reading was broken off: its record, and whether it was."""
        open_one = self.spool.unfinished
        if open_one is not None and open_one.fingerprint == document.fingerprint:
            self._rewind(open_one)
            return open_one, True
        if open_one is not None:
            self._abandon(open_one)
        return self.spool.document(self.spool.begin(document.name, document.fingerprint, document.rest)), False

    def read(self, document: Document, encoder: TextEncoder) -> Underway:
        """Begin a document or take it up again; its tokens are those of `stream`.

        What goes wrong before the first of them leaves no record of one that is new.
        """
        record, resumed = self.open_document(document)
        pieces = self.stream(document, record, encoder)
        try:
            first = next(pieces, None)
        except BaseException:
            if not resumed:
                self.spool.take_back()
            raise
        return Underway(document, record, chain(() if first is None else (first,), pieces), resumed)

    def stream(self, document: Document, record: SpoolDocument, encoder: TextEncoder) -> Iterator[TokenPiece]:
        """The tokens of a document from where the spool has it, with offsets in the spool; the text goes there too."""
        at = self.spool.chars
        context = self.spool.slice(self._context_start(record), at)

        def spooled() -> Iterator[str]:
            for piece in document.pieces(at - record.start):
                self.spool.append(piece)
                yield piece

        skip, self._done_again = self._done_again, 0
        for piece in encoder.stream(spooled(), offset=at, context=context):
            fresh = TokenPiece(*(values[skip:] for values in piece))
            skip -= len(piece.ids) - len(fresh.ids)
            if fresh.ids:
                yield fresh

    def spans(self, positions: np.ndarray) -> Spans:
        """The places of tokens in the spool; NO_TEXT for those that are not user text or not in the transcript."""
        starts, ends = np.full(len(positions), NO_TEXT), np.full(len(positions), NO_TEXT)
        for at, position in enumerate(positions):
            if 0 <= position < len(self.log):
                span = self.log.spans(int(position), int(position) + 1)
                starts[at], ends[at] = span.starts[0], span.ends[0]
        return Spans(starts, ends)

    def tokens(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Runs of tokens that stand for characters in these spans of the spool, which ascend and do not overlap."""
        low_X, high_X = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        found = [
            first + np.flatnonzero(_overlaps(self.log.spans(first, first + _PIECE_TOKENS), low_X, high_X))
            for first in range(0, len(self.log), _PIECE_TOKENS)
        ]
        at_p = np.concatenate(found or [np.empty(0, dtype=np.int64)])
        runs = np.split(at_p, np.flatnonzero(np.diff(at_p) > 1) + 1)
        return [(int(run[0]), int(run[-1]) + 1) for run in runs if len(run)]

    def files(self) -> list[dict[str, Any]]:
        """The documents: `file`, `fingerprint`, `chars`, and whether it was read to its end (`complete`)."""
        return _listed(self.spool, self.finished, self.abandoned)

    @property
    def told(self) -> int:
        """Characters up to the last token: text of a document that is being read is spooled ahead of it."""
        record = self.spool.unfinished
        return self.spool.chars if record is None else self._told_of(record)

    def state_dict(self) -> dict[str, Any]:
        """Plain values for JSON. Nothing that is done to the transcript later takes what they name off the disk."""
        return {
            "spool": self.spool.state_dict(self.told),
            "tokens": len(self.log),
            "abandoned": sorted(self.abandoned),
        }

    def copy_to(self, folder: Path, state: Mapping[str, Any] | None = None) -> Transcript:
        """A transcript of its own in another folder, equal to this one as it is, or as it was when it gave `state`."""
        state = state or self.state_dict()
        self.spool.copy_to(folder, state["spool"]).close()
        self.log.copy_to(folder, state["tokens"]).close()
        return Transcript(folder, state)

    def copier(self) -> Callable[[Path], Transcript]:
        """What copies it into a folder as it is now, also later."""
        return partial(self.copy_to, state=self.state_dict())

    def close(self) -> None:
        """Close the files; they stay on disk."""
        self.spool.close()
        self.log.close()

    def _last_tokens(self, record: SpoolDocument) -> Spans:
        """The last tokens of a document, some hundred of them at most."""
        starts, ends = self.log.spans(max(0, len(self.log) - _CONTEXT_TOKENS))
        mine = starts >= record.start
        return Spans(starts[mine], ends[mine])

    def _told_of(self, record: SpoolDocument) -> int:
        """Where the last token of a document ends; its beginning where there is none."""
        ends = self._last_tokens(record).ends
        return min(int(ends[-1]), self.spool.chars) if len(ends) else record.start

    def _context_start(self, record: SpoolDocument) -> int:
        starts = self._last_tokens(record).starts
        return min(int(starts[0]), self.spool.chars) if len(starts) else self.spool.chars

    def _rewind(self, record: SpoolDocument) -> None:
        """Remove text that was spooled ahead of the tokens, so that the document can be read on.

        Several tokens may share a character, so the cut is before the last token that begins where the one before it
        ends; the tokens behind it are made again and skipped.
        """
        starts, ends = self._last_tokens(record)
        clean = np.flatnonzero(ends[:-1] <= starts[1:]) + 1
        first = int(clean[-1]) if len(clean) else 0
        self._done_again = len(starts) - first
        self.spool.truncate(int(starts[first]) if len(clean) else record.start)

    def _abandon(self, record: SpoolDocument) -> None:
        """Leave a document that was broken off as it is: with the text that was seen, and not complete."""
        self.spool.truncate(self._told_of(record))
        self.abandoned.add(len(self.spool) - 1)
        self.spool.finish()


class ForkedTranscript:
    """A fork's transcript: its parent's first tokens, all unless `base` says how many, and its own behind them.

    Its own may quote the parent's text, and add none to it. The parent goes on: `spool`, `finished` and `abandoned` are
    as they were when it was forked.
    """

    def __init__(self, parent: Transcript | ForkedTranscript, base: int | None = None) -> None:
        self._parent = parent
        self._base = len(parent) if base is None else base
        self._copied = parent.copier()
        self.spool: Spooled = SpoolThen(parent.spool, parent.told)
        self.finished: bool = parent.finished
        self.abandoned: set[int] = set(parent.abandoned)
        self._own = TokenPiece([], [], [])

    @property
    def open_files(self) -> int:
        """None: the files are the parent's."""
        return 0

    @property
    def chars(self) -> int:
        """Characters of all documents."""
        return self.spool.chars

    @property
    def told(self) -> int:
        """Those up to the last token of its parent: it adds no text."""
        return self.spool.chars

    def __len__(self) -> int:
        return self._base + len(self._own.ids)

    def files(self) -> list[dict[str, Any]]:
        """The documents that the parent had, as it had them."""
        return _listed(self.spool, self.finished, self.abandoned)

    def add(self, ids: list[int], starts: Sequence[int] = (), ends: Sequence[int] = ()) -> None:
        """Note tokens that the model has seen, with the offsets in the parent's text of those that quote it."""
        nowhere = [NO_TEXT] * len(ids)
        for values, new in zip(self._own, (ids, starts or nowhere, ends or nowhere), strict=True):
            values.extend(new)

    def truncate(self, tokens: int) -> None:
        """Forget all but the first tokens, those that it was forked with at least."""
        for values in self._own:
            del values[tokens - self._base :]

    def spans(self, positions: np.ndarray) -> Spans:
        """The places of tokens in the parent's spool."""
        spans = self._parent.spans(np.where(positions < self._base, positions, NO_TEXT))
        for at in np.flatnonzero((self._base <= positions) & (positions < len(self))):
            own = int(positions[at]) - self._base
            spans.starts[at], spans.ends[at] = self._own.starts[own], self._own.ends[own]
        return spans

    def tokens(self, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Runs of the parent's tokens, up to the fork."""
        return [(low, min(high, self._base)) for low, high in self._parent.tokens(spans) if low < self._base]

    def copy_to(self, folder: Path) -> Transcript:
        """A transcript of its own in another folder, equal to this one."""
        copy = self._copied(folder)
        copy.log.truncate(self._base)
        copy.add(*self._own)
        return copy

    def copier(self) -> Callable[[Path], Transcript]:
        """What copies it into a folder, at the time of the copy."""
        return self.copy_to

    def close(self) -> None:
        """The files are the parent's."""


def _listed(spool: Spooled, finished: bool, abandoned: set[int]) -> list[dict[str, Any]]:
    records = [spool.document(number) for number in range(len(spool))]
    unfinished = None if finished else len(records) - 1
    return [
        {
            "file": record.name,
            "fingerprint": record.fingerprint,
            "chars": record.end - record.start,
            "complete": number != unfinished and number not in abandoned,
        }
        for number, record in enumerate(records)
        if record.end > record.start or number == unfinished
    ]


def _overlaps(tokens: Spans, low_X: np.ndarray, high_X: np.ndarray) -> np.ndarray:
    """Which tokens stand for a character of one of the spans."""
    if not len(low_X):
        return np.zeros(len(tokens.starts), dtype=bool)
    first_p = np.searchsorted(high_X, tokens.starts, side="right")
    reached_p = low_X[np.minimum(first_p, len(low_X) - 1)] < tokens.ends
    inside: np.ndarray = (tokens.starts >= 0) & (first_p < len(low_X)) & reached_p
    return inside
