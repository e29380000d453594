"""What a session has read, as text and as tokens with the places they came from.

It lies on disk; a fork shares its parent's until it reads text of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from farspan.text import Document, Spans, SpoolDocument, TextEncoder, TextSpool, TokenLog, TokenPiece
from farspan.text.token_log import NO_TEXT

_CONTEXT_TOKENS = 100


class Transcript:
    """Text and tokens of one session in `folder`."""

    def __init__(self, folder: Path, state: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.spool = TextSpool(folder, None if state is None else state["spool"])
        self.log = TokenLog(folder, None if state is None else state["tokens"])
        self._done_again = 0
        self._abandoned: set[int] = set(() if state is None else state["abandoned"])

    def __len__(self) -> int:
        return len(self.log)

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
        return self.spool.document(self.spool.begin(document.name, document.fingerprint)), False

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

    def files(self) -> list[dict[str, Any]]:
        """The documents: `file`, `fingerprint`, `chars`, and whether it was read to its end (`complete`)."""
        unfinished = self.spool.unfinished
        records = [self.spool.document(number) for number in range(len(self.spool))]
        return [
            {
                "file": record.name,
                "fingerprint": record.fingerprint,
                "chars": record.end - record.start,
                "complete": record != unfinished and number not in self._abandoned,
            }
            for number, record in enumerate(records)
            if record.end > record.start or record == unfinished
        ]

    def state_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "spool": self.spool.state_dict(),
            "tokens": len(self.log),
            "abandoned": sorted(self._abandoned),
        }

    def copy_to(self, folder: Path) -> Transcript:
        """A transcript of its own in another folder, equal to this one."""
        self.spool.copy_to(folder).close()
        self.log.copy_to(folder).close()
        return Transcript(folder, self.state_dict())

    def close(self) -> None:
        """Close the files; they stay on disk."""
        self.spool.close()
        self.log.close()

    def _last_tokens(self, record: SpoolDocument) -> Spans:
        """The last tokens of a document, some hundred of them at most."""
        starts, ends = self.log.spans(max(0, len(self.log) - _CONTEXT_TOKENS))
        mine = starts >= record.start
        return Spans(starts[mine], ends[mine])

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
        ends = self._last_tokens(record).ends
        self.spool.truncate(int(ends[-1]) if len(ends) else record.start)
        self._abandoned.add(len(self.spool) - 1)
        self.spool.finish()


class ForkedTranscript:
    """A fork's transcript: its parent's up to the fork, and its own tokens, none of them user text, behind it."""

    def __init__(self, parent: Transcript | ForkedTranscript) -> None:
        self._parent = parent
        self._base = len(parent)
        self._chars = parent.spool.chars
        self._own: list[int] = []

    @property
    def spool(self) -> TextSpool:
        """The parent's text."""
        return self._parent.spool

    def __len__(self) -> int:
        return self._base + len(self._own)

    def files(self) -> list[dict[str, Any]]:
        """The parent's documents."""
        return self._parent.files()

    def add(self, ids: list[int], starts: Sequence[int] = (), ends: Sequence[int] = ()) -> None:
        """Note tokens that the model has seen."""
        assert not starts and not ends, "a fork that reads text has a transcript of its own"
        self._own += ids

    def truncate(self, tokens: int) -> None:
        """Forget all but the first tokens, those that it was forked with at least."""
        del self._own[tokens - self._base :]

    def spans(self, positions: np.ndarray) -> Spans:
        """The places of tokens in the parent's spool."""
        return self._parent.spans(np.where(positions < self._base, positions, NO_TEXT))

    def copy_to(self, folder: Path) -> Transcript:
        """A transcript of its own in another folder, equal to this one."""
        copy = self._parent.copy_to(folder)
        copy.spool.truncate(self._chars)
        copy.log.truncate(self._base)
        if self._parent.spool.unfinished is None:
            copy.spool.finish()
        copy.add(self._own)
        return copy

    def close(self) -> None:
        """The files are the parent's."""
