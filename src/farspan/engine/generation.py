"""A text being written: iterate it to stream, or ask for its `text`, `ids`, `sources` and `usage`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from torch import Tensor

from farspan.engine.likely import Likely, likely
from farspan.engine.sampling import Sampling
from farspan.engine.sources import find_sources
from farspan.engine.stream import Stream
from farspan.engine.watch import Watch
from farspan.engine.wording import Wording
from farspan.types import Counts, Source, Usage


class Generation:
    """An answer. The prompt has been read when it is made; the tokens come as it is iterated.

    `text`, `ids`, `sources` and `usage` let it run to its end first. When it is broken off (an exception, `close`),
    they give what there is; `drawn` always does, and `ended` says whether there is more to come. `likely` says how
    likely the tokens were, if `Sampling.logprobs` asks for it.
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
        self.stream = stream
        self.watch = Watch()
        self.drawn: list[int] = []
        self.likely: list[Likely] = []
        self.ended = False
        self._sampling = sampling
        self._eos = frozenset() if sampling.ignore_eos else eos
        self._done = done
        self._wording = Wording(tokenizer, sampling.stop)
        self._sources: list[Source] = []
        self._usage = (stream.seen, len(prompt))
        self._logits_V: Tensor | None = stream.feed(prompt, self.watch)
        self._sampler = sampling.sampler()
        self._counts = stream.counts
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def close(self) -> None:
        """Break the answer off."""
        if not self.ended:
            self._pieces.close()
            self._end()

    def draw(self, logits_V: Tensor | None = None) -> str:
        """Draw the next token, and give the text that is ready then.

        `logits_V` are those behind the last one, which the stream has been fed; the first token needs none.
        """
        logits_V = self._logits_V if logits_V is None else logits_V
        assert logits_V is not None
        token, self._logits_V = self._sampler.draw(logits_V), None
        self.drawn.append(token)
        if self._sampling.logprobs is not None:
            self.likely += likely(logits_V[None], [token], self._sampling.logprobs)
        piece = "" if token in self._eos else self._wording.add(token)
        if token in self._eos or self._wording.stopped or len(self.drawn) == self._sampling.max_new_tokens:
            piece += self._wording.end(self.drawn[:-1] if token in self._eos else self.drawn)
            self._end()
        return piece

    @property
    def stopped(self) -> bool:
        """Whether it ended by itself, at an end-of-text token or a stop string; not for its length, nor broken off."""
        return self._wording.stopped or any(token in self._eos for token in self.drawn[-1:])

    @property
    def whole(self) -> bool:
        """Whether its text is all that was drawn, so that who goes on from there goes on from that text."""
        return self.ended and not self._wording.stopped

    @property
    def text(self) -> str:
        """The whole text, without a stop string or an end-of-text token."""
        self._finish()
        return self._wording.text

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
            while not self.ended:
                logits_V = self.stream.feed(self.drawn[-1:], self.watch) if self.drawn else None
                piece = self.draw(logits_V)
                if piece:
                    yield piece
        finally:
            self._end()

    def _end(self) -> None:
        if self.ended:
            return
        self.ended = True
        self._counts = self.stream.counts
        self._sources = find_sources(self.watch, self.stream.places)
        self._done(self)
