"""A text being written: iterate it to stream, or ask for its `text`, `ids`, `sources` and `usage`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from tokenizers.decoders import DecodeStream

from farspan.engine.sampling import Sampling
from farspan.engine.sources import find_sources
from farspan.engine.stream import Stream
from farspan.engine.watch import Watch
from farspan.types import Counts, Source, Usage


class Generation:
    """An answer. The prompt has been read when it is made; the tokens come as it is iterated.

    `text`, `ids`, `sources` and `usage` let it run to its end first. When it is broken off (an exception, `close`),
    they give what there is; `drawn` always does.
    """

    def __init__(
        self,
        stream: Stream,
        tokenizer: Any,
        prompt: list[int],
        sampling: Sampling,
        eos: frozenset[int],
        done: Callable[[Generation], None],
    ) -> None:
        self._stream = stream
        self._tokenizer = tokenizer.backend_tokenizer
        self._sampling = sampling
        self._eos = frozenset() if sampling.ignore_eos else eos
        self._done = done
        self._watch = Watch()
        self.drawn: list[int] = []
        self._text = ""
        self._sources: list[Source] = []
        self._usage = (stream.seen, len(prompt))
        self._logits_V = stream.feed(prompt, self._watch)
        self._counts = stream.counts
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def close(self) -> None:
        """Break the answer off."""
        self._pieces.close()

    @property
    def text(self) -> str:
        """The whole text, without a stop string or an end-of-text token."""
        self._finish()
        return self._text

    @property
    def ids(self) -> list[int]:
        """The tokens that were drawn, an end-of-text token included."""
        self._finish()
        return list(self.drawn)

    @property
    def sources(self) -> list[Source]:
        """The spans of the user's text that the answer drew on, best first; see `Source`."""
        self._finish()
        return list(self._sources)

    @property
    def usage(self) -> Usage:
        """How many tokens it took."""
        self._finish()
        context, prompt = self._usage
        return Usage(context_tokens=context, prompt_tokens=prompt, completion_tokens=len(self.drawn))

    @property
    def counts(self) -> Counts:
        """Where the tokens were when the answer ended, its own included."""
        self._finish()
        return self._counts

    def _finish(self) -> None:
        for _ in self._pieces:
            pass

    def _run(self) -> Generator[str]:
        try:
            yield from self._until_stop(self._decoded())
        finally:
            self._counts = self._stream.counts
            self._sources = find_sources(self._watch, self._stream.places)
            self._done(self)

    def _tokens(self) -> Iterator[int]:
        sampler, logits_V = self._sampling.sampler(), self._logits_V
        while True:
            token = sampler.draw(logits_V)
            self.drawn.append(token)
            if token in self._eos:
                return
            yield token
            if len(self.drawn) == self._sampling.max_new_tokens:
                return
            logits_V = self._stream.feed([token], self._watch)

    def _decoded(self) -> Iterator[str]:
        """Text as soon as it is whole characters."""
        decoder, given = DecodeStream(skip_special_tokens=True), ""
        for token in self._tokens():
            piece = decoder.step(self._tokenizer, token)
            if piece:
                given += piece
                yield piece
        whole = self._tokenizer.decode(self.drawn, skip_special_tokens=True)
        if whole.startswith(given) and len(whole) > len(given):
            yield whole[len(given) :]

    def _until_stop(self, pieces: Iterator[str]) -> Iterator[str]:
        """End at the first stop string; hold back what might be the beginning of one."""
        stops, waiting = self._sampling.stop, ""
        hold = max((len(stop) for stop in stops), default=1) - 1
        for piece in pieces:
            waiting += piece
            found = min((at for stop in stops if (at := waiting.find(stop)) >= 0), default=-1)
            ready = found if found >= 0 else max(0, len(waiting) - hold)
            if ready:
                self._text += waiting[:ready]
                yield waiting[:ready]
            if found >= 0:
                return
            waiting = waiting[ready:]
        if waiting:
            self._text += waiting
            yield waiting
