"""A sample: a context in segments, and the turns that are asked about it once it has been read.

Nothing here knows a model or a tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Span(NamedTuple):
    """A passage of a segment: its number, and the characters `start` to `end` in it."""

    segment: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the context. A chat or diary says who speaks (`role`), when (`time`) and in which session (`name`)."""

    text: str
    role: str = ""
    time: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One question on a context.

    query: what is asked.
    answer: a whole reply that earns 1 (the oracle's). May begin with the white space that stands before it in the text.
    gold: what the scorer compares with, by its own rule; the stripped answer where nothing is given.
    scorer, options: the name of a scorer of `farspan.evals.scorers`, and what else it needs, as plain JSON values.
    prefix: the beginning of the answer, handed to the model (RULER's answer prefix); not part of `answer`.
    max_new_tokens: the most that may be generated; 0 until the sample is fitted to a space.
    evidence: where the context holds what is needed; empty when the whole of it is needed.
    decoys: right answers to other questions. A reply is a listing, and earns 0, that holds two of them where `gold` is
    one answer, or else at least three and more than half; those in the query or in a gold answer are left out.
    echoes: snippets from all parts of the context, put there when the sample is fitted; see `farspan.evals.score`.
    stop: strings that end the reply.
    """

    query: str
    answer: str
    gold: tuple[str, ...] = ()
    scorer: str = "any_substring"
    options: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""
    max_new_tokens: int = 0
    evidence: tuple[Span, ...] = ()
    decoys: tuple[str, ...] = ()
    echoes: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.gold and self.answer.strip():
            object.__setattr__(self, "gold", (self.answer.strip(),))


@dataclass(frozen=True, slots=True)
class Sample:
    """A context and the turns on it. `meta` labels it for the report: plain values such as `{"hops": 3}`."""

    segments: tuple[Segment, ...]
    turns: tuple[Turn, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> str:
        """The whole context; segments carry their own separators."""
        return "".join(segment.text for segment in self.segments)

    def spans(self, turn: Turn) -> list[tuple[int, int]]:
        """A turn's evidence as character ranges of the document."""
        starts = [0]
        for segment in self.segments:
            starts.append(starts[-1] + len(segment.text))
        return [(starts[span.segment] + span.start, starts[span.segment] + span.end) for span in turn.evidence]

    def depth(self, turn: Turn) -> float | None:
        """Where a turn's first evidence lies: 0 the beginning of the document, 1 its end; None without evidence."""
        spans = self.spans(turn)
        return round(spans[0][0] / max(1, len(self.document)), 4) if spans else None

    def as_dict(self) -> dict[str, Any]:
        """The sample as plain values for JSON."""
        return asdict(self)


class Page:
    """A text that is written piece by piece and remembers where each piece lies."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._end = 0

    def add(self, piece: str) -> Span:
        """Append a piece; its span leaves out white space at both ends."""
        start = self._end + len(piece) - len(piece.lstrip())
        self._pieces.append(piece)
        self._end += len(piece)
        return Span(0, start, max(start, self._end - len(piece) + len(piece.rstrip())))

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self._pieces)

    def sample(self, turns: tuple[Turn, ...], **meta: Any) -> Sample:
        """The page as the only segment of a sample."""
        return Sample((Segment(self.text),), turns, meta)
