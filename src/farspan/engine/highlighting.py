"""What a user highlights, and what a model finds worth it, as tokens of the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from farspan.engine.highlight import Highlight
from farspan.engine.passages import Span, likest_sentence, merged, occurrences, place_of
from farspan.errors import InputError, UsageError
from farspan.types import Source

if TYPE_CHECKING:
    from farspan.engine.stream import Stream

Passages = str | Source | Sequence[str | Source]
_KEY_QUESTION = "Copy the sentence of the text that answers this question: "
_MOST_TOKENS = 64


class Steerer:
    """Says what an answer is steered towards. `ask` is the session's own."""

    def __init__(self, stream: Stream, method: str, ask: Callable[..., Any]) -> None:
        self._stream = stream
        self._method = method
        self._ask = ask

    def highlight(self, question: str, passages: Passages | None) -> Highlight | None:
        """What is given, wherever it stands in the text; or else what the model names, where the method has it asked.

        Raises UsageError when something is given and the method does not steer, InputError for what was not read.
        """
        steering = self._stream.kv.steering
        if passages is None:
            asks = steering is not None and steering.asks and question.strip()
            return self._found(question) if asks else None
        listed = [passages] if isinstance(passages, (str, Source)) else passages
        if not listed:
            return None
        if steering is None:
            raise UsageError(f"{self._method} makes nothing of a highlight", fix=f"--method '{self._method}+pasta'")
        return self._over([span for passage in listed for span in self._spans(passage)])

    def _found(self, question: str) -> Highlight | None:
        reply = self._ask(_KEY_QUESTION + question, highlight=(), max_new_tokens=_MOST_TOKENS).text
        span = likest_sentence(self._stream.places.spool, reply)
        return None if span is None else self._over([span])

    def _spans(self, passage: str | Source) -> list[Span]:
        spool = self._stream.places.spool
        text = passage if isinstance(passage, str) else passage.text
        if not text.strip():
            raise InputError("the highlight is empty", fix="give words of the text")
        spans = list(occurrences(spool, text) if isinstance(passage, str) else place_of(spool, passage))
        if not spans:
            raise InputError(f"{text[:60]!r} is not in what was read", fix="highlight words just as they stand there")
        return spans

    def _over(self, spans: list[Span]) -> Highlight | None:
        runs = self._stream.places.tokens(merged(spans))
        return Highlight(tuple(runs)) if runs else None
