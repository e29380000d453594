"""The one stream of tokens under a session: KV memory and transcript, moved on together.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from torch import Tensor

from farspan.engine.kv import KVMemory
from farspan.engine.sources import Places
from farspan.engine.stepping import Logits, Step, run_steps
from farspan.engine.transcript import ForkedTranscript, Transcript
from farspan.engine.watch import Watch
from farspan.types import Counts


class Stream:
    """Runs tokens through the model, at most as many at once as the method allows, and notes them.

    `pending` are tokens of the stream that the model has not seen yet, such as the last one that was drawn.
    """

    def __init__(self, kv: KVMemory, transcript: Transcript | ForkedTranscript, pending: Sequence[int] = ()) -> None:
        self.kv = kv
        self.transcript = transcript
        self.pending = list(pending)

    @property
    def seen(self) -> int:
        """Tokens that the model has seen."""
        return self.kv.seen

    @property
    def counts(self) -> Counts:
        """Where they are."""
        return self.kv.counts()

    @property
    def open_files(self) -> int:
        """File descriptors that it shares with no stream that it was forked from."""
        files = [arena.file for layer in self.kv.layers for arena in layer.arenas.values() if arena.file is not None]
        return self.transcript.open_files + sum(file.open_files for file in files)

    @property
    def places(self) -> Places:
        """Where they stand in the user's text."""
        return self.transcript

    def limit(self) -> int:
        """How many tokens the next step of reading may take."""
        return self.kv.limit(answering=False)

    def step(
        self,
        ids: list[int],
        logits: Logits | None,
        *,
        answering: bool = False,
        watch: Watch | None = None,
        spans: tuple[Sequence[int], Sequence[int]] = ((), ()),
    ) -> Tensor | None:
        """One chunk: logits `[1, V]`, `[T, V]` or None. Whatever goes wrong, the stream stands as it was before."""
        with self.noting(ids, spans):
            return self.kv.step(ids, logits, answering=answering, watch=watch)

    @contextmanager
    def noting(self, ids: list[int], spans: tuple[Sequence[int], Sequence[int]] = ((), ())) -> Iterator[None]:
        """Note these tokens, and forget them again if what is done meanwhile fails."""
        length = len(self.transcript)
        self.transcript.add(ids, *spans)
        try:
            yield
        except BaseException:
            self.transcript.truncate(length)
            raise

    def read_pending(self) -> None:
        """Run the pending tokens through the model; those that it has not seen when it fails are pending still."""
        while self.pending:
            part = self.pending[: self.limit()]
            self.step(part, None)
            self.pending = self.pending[len(part) :]

    def logits(self, ids: list[int], answering: bool = False) -> list[Tensor]:
        """The logits at every token, in pieces `[T, V]`."""
        rows = (self.step(part, "all", answering=answering) for part in self._parts(ids, answering=answering))
        return [row for row in rows if row is not None]

    def feed(self, ids: list[int], watch: Watch) -> Tensor:
        """Run tokens through the model as part of an answer: the last one's logits `[V]`, whose keys the watch sees."""
        logits, remaining = None, len(ids)
        self.steer(len(ids))
        for part in self._parts(ids, answering=True):
            remaining -= len(part)
            last = remaining == 0
            logits = self.step(part, "last" if last else None, answering=True, watch=watch if last else None)
        assert logits is not None, "an answer needs a prompt"
        return logits[-1]

    def steer(self, tokens: int) -> None:
        """Let attention that is steered stay so for as many more tokens of an answer."""
        if self.kv.highlight is not None:
            self.kv.highlight = self.kv.highlight.until(self.seen + tokens)

    def state_dict(self, transcript: Transcript) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values for JSON, with those of the transcript that is kept, and tensors."""
        plain, tensors = self.kv.state_dict()
        return {
            "chunk": self.kv.settings.chunk,
            "counts": self.counts.as_dict(),
            "files": self.transcript.files(),
            "pending": self.pending,
            "transcript": transcript.state_dict(),
            **plain,
        }, tensors

    def close(self) -> None:
        """Close the files."""
        self.kv.close()
        self.transcript.close()

    def _parts(self, ids: list[int], *, answering: bool) -> Iterator[list[int]]:
        while ids:
            count = self.kv.limit(answering)
            yield ids[:count]
            ids = ids[count:]


class Feed(NamedTuple):
    """One token of an answer in its stream; the watch sees its keys."""

    stream: Stream
    token: int
    watch: Watch


def feed_together(feeds: Sequence[Feed]) -> list[Tensor]:
    """Run a token of each answer through the model at once: the logits `[V]` of each, as `Stream.feed` gives them.

    Whatever goes wrong, all streams stand as they were before.
    """
    with ExitStack() as noting:
        for stream, token, _ in feeds:
            stream.steer(1)
            noting.enter_context(stream.noting([token]))
        rows = run_steps([Step(stream.kv, [token], True, watch) for stream, token, watch in feeds], "last")
    return [logits_1V[-1] for logits_1V in rows if logits_1V is not None]
