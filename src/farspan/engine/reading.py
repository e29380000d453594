"""Reading one document into a stream, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

from farspan.engine.stream import Stream
from farspan.engine.transcript import Transcript
from farspan.text import Document, TextEncoder, TokenPiece
from farspan.types import ProgressCallback


class Reading:
    """One document on its way into a stream.

    It begins a record of the document, or takes up the one whose reading was broken off (`resumed`). Raises InputError
    when there is no text in it; nothing has been read then.
    """

    def __init__(self, stream: Stream, document: Document, encoder: TextEncoder) -> None:
        assert isinstance(stream.transcript, Transcript), "a fork that reads needs a transcript of its own"
        self._stream = stream
        self._transcript = stream.transcript
        self._underway = self._transcript.read(document, encoder)
        self._tokens = 0

    @property
    def resumed(self) -> bool:
        """Whether it was broken off before."""
        return self._underway.resumed

    def run(self, after_chunk: Callable[[], None], progress: ProgressCallback | None) -> None:
        """Read to the end; `after_chunk` and `progress` are called after every chunk."""
        waiting = TokenPiece([], [], [])
        for piece in self._underway.pieces:
            waiting = TokenPiece(*(held + new for held, new in zip(waiting, piece, strict=True)))
            while len(waiting.ids) >= self._stream.limit():
                waiting = self._read_chunk(waiting, after_chunk, progress)
        while waiting.ids:
            waiting = self._read_chunk(waiting, after_chunk, progress)
        self._transcript.spool.finish()

    def _read_chunk(
        self, waiting: TokenPiece, after_chunk: Callable[[], None], progress: ProgressCallback | None
    ) -> TokenPiece:
        count = self._stream.limit()
        ids, starts, ends = (values[:count] for values in waiting)
        self._stream.step(ids, None, spans=(starts, ends))
        self._tokens += len(ids)
        after_chunk()
        if progress is not None:
            progress(self._underway.progress(self._tokens, ends[-1], self._stream.counts))
        return TokenPiece(*(values[count:] for values in waiting))
