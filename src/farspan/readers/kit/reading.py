"""Reading one document into a reader's transcript, piece by piece: no model is run."""

from __future__ import annotations

from collections.abc import Iterator

from farspan.engine import Model
from farspan.engine.transcript import Transcript
from farspan.readers.kit.text import ReadText
from farspan.text import Document
from farspan.types import Counts, Progress


class ReaderReading:
    """One document on its way; one whose reading was broken off is taken up again."""

    def __init__(self, model: Model, transcript: Transcript, document: Document) -> None:
        self._model = model
        self._transcript = transcript
        self._underway = transcript.read(document, model.encoder)
        self._tokens = self._end = 0

    def pieces(self) -> Iterator[ReadText]:
        """The whole text as it stands after every piece of the document."""
        transcript = self._transcript
        for piece in self._underway.pieces:
            if not self._tokens and not self._underway.resumed and len(transcript):
                transcript.add(self._model.template.gap)
            transcript.add(*piece)
            self._tokens += len(piece.ids)
            self._end = piece.ends[-1]
            yield ReadText(transcript, len(transcript))
        transcript.spool.finish()

    def progress(self, counts: Counts) -> Progress:
        """How far it has come."""
        return self._underway.progress(self._tokens, self._end, counts)
