"""One growing stream of text that a model reads and writes: `read`, `ask`, `chat`, `generate`, `fork`, `save`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from torch import Tensor, cat

from farspan.engine.account import Account
from farspan.engine.generation import Generation
from farspan.engine.highlighting import Passages, Steerer
from farspan.engine.reading import Reading
from farspan.engine.sampling import Sampling
from farspan.engine.store import Store
from farspan.engine.stream import Stream
from farspan.engine.transcript import ForkedTranscript, Transcript
from farspan.errors import InputError
from farspan.folders import scratch_folder
from farspan.text import Document, documents
from farspan.types import Budget, Counts, ProgressCallback

if TYPE_CHECKING:
    from farspan.engine.model import Model

_Done = Callable[[Generation], None]
EMPTY, READING, ANSWERED, OPEN = "empty", "reading", "answered", "open"


class Session(Account):
    """A stream on a budget. Made by `Model.session` and `farspan.open`; `with` closes it.

    With a folder of its own (`store`), what it reads is committed there chunk by chunk. `stage` says what came last.
    """

    def __init__(
        self,
        model: Model,
        stream: Stream,
        *,
        store: Store | None = None,
        scratch: tempfile.TemporaryDirectory[str] | None = None,
        stage: str = EMPTY,
    ) -> None:
        self.model = model
        self._stream = stream
        self._store = store
        self._scratch = scratch
        self._stage = stage
        self._answers: WeakSet[Generation] = WeakSet()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, source: str | Path | Document | Iterable[int], progress: ProgressCallback | None = None) -> Counts:
        """Take in a text: a `str` is the text itself, a `Path` a file or folder; or a Document, or token ids.

        A document whose reading was broken off is read on from the last committed chunk. `progress` is called after
        every chunk. Raises InputError for a text that cannot be read and StorageFull when the tiers are full; the
        session then stands at the last chunk, as it does after a KeyboardInterrupt.
        """
        self._break_off()
        try:
            if isinstance(source, (str, Path, Document)):
                for document in documents(source):
                    self._read_document(document, progress)
            else:
                self._read_ids(source)
        except KeyboardInterrupt:
            self.commit()
            raise
        self.commit()
        return self.counts

    def ask(self, question: str, *, prefix: str = "", highlight: Passages | None = None, **sampling: Any) -> Generation:
        """Answer a question and leave the session as it was. Keywords are those of `Sampling`.

        `prefix` is the beginning of the answer, which the model then goes on from; it is no part of the text given.
        `highlight` is what to look at, by a method that steers attention (`pasta`): words of the text, wherever they
        stand there, or sources of an answer. Raises UsageError for another method, InputError for what was not read.
        """
        steered = Steerer(self._stream, str(self.method), self.ask).highlight(question, highlight)
        fork = self.fork()
        try:
            fork._stream.kv.highlight = steered
            self._answers.add(reply := fork._turn(question, prefix, sampling, after=lambda _: fork.close()))
            return reply
        except BaseException:
            fork.close()
            raise

    def chat(self, message: str, *, prefix: str = "", **sampling: Any) -> Generation:
        """Answer a message; both stay in the session. Keywords as for `ask`. Ends an answer that is being written.

        When it fails before the first chunk of the message was seen, the session stands as it was; when it fails
        later, that part of the message stays.
        """
        return self._turn(message, prefix, sampling, after=self._close_turn)

    def replay(self, message: str, reply: str) -> None:
        """Take in a message with the reply that was given to it elsewhere; both stay in the session."""
        self._break_off()
        encode = self.model.encoder.encode
        self._stream.pending += [*self.lead(), *encode(message).ids, *self.model.template.tail, *encode(reply).ids]
        self._stage = ANSWERED
        self._stream.read_pending()
        self._stream.kv.end_turn()
        self.commit()

    def put(self, ids: Iterable[int]) -> None:
        """Put a turn together by hand: these tokens come next, as they are, when something is read or answered.

        Raises InputError for a token id that the model does not know.
        """
        new = list(ids)
        self.model.check_ids(new)
        self._break_off()
        self._stream.pending = [*self._stream.pending, *new]
        self._stage = OPEN

    def reply(self, **sampling: Any) -> Generation:
        """Answer what was `put`; both stay. Keywords as for `ask`. Raises InputError when nothing waits."""
        self._break_off()
        if not self._stream.pending:
            raise InputError("there is nothing to answer", fix="put a question first")
        return self._generation([], Sampling.of(sampling), after=self._close_reply, stage=OPEN)

    def end_turn(self) -> None:
        """Say that a turn put together by hand is over, for a method that counts turns (`sirllm` with a decay)."""
        if self._stream.kv.counts_turns:
            self._break_off()
            self._stream.read_pending()
            self._stream.kv.end_turn()

    def generate(self, prompt: str | Iterable[int] | None = None, **sampling: Any) -> Generation:
        """Continue the stream, behind a prompt if there is one, without a chat template; both stay in the session.

        Keywords are those of `Sampling`. Raises InputError when there is nothing to continue.
        """
        self._break_off()
        first = self._stream.seen == 0
        ids = self.model.encode_raw(prompt, first=first) if isinstance(prompt, str) else list(prompt or ())
        if not self._stream.pending and not ids:
            raise InputError("there is nothing to continue", fix="give a prompt, or generate right after an answer")
        return self._generation(ids, Sampling.of(sampling), after=self._keep_last, stage=READING)

    def logits(self, ids: Iterable[int], *, answering: bool = False) -> Tensor:
        """Read token ids and give the logits at each of them, `[T, V]`: for measuring, since that grows with T.

        With `answering` the method looks things up for them as it does for an answer. Raises InputError for no tokens,
        and for an id that the model does not know.
        """
        given = list(ids)
        if not given:
            raise InputError("there are no tokens to read", fix="give one token id or more")
        self.model.check_ids(given)
        self._break_off()
        self._stream.read_pending()
        self._stage = READING
        return cat(self._stream.logits(given, answering))

    def fork(self) -> Session:
        """A session that begins with everything in this one; what either does then, the other does not see.

        Blocks are shared, so close a fork before the session that it was made from, and do not run the two in different
        threads at the same time. Without a disk tier, blocks that the session drops later are gone for its forks too.
        """
        scratch = scratch_folder()
        kv = self._stream.kv.fork(Path(scratch.name) / "layers")
        stream = Stream(kv, ForkedTranscript(self._stream.transcript), self._stream.pending)
        return Session(self.model, stream, scratch=scratch, stage=self._stage)

    def save(self, path: Path | str) -> None:
        """Write a copy into a new folder, to be opened with `farspan.open`. Raises SessionError when one is there.

        The copy lies on disk and so has a disk tier, also where this session has none, and one without limit where this
        session's holds less than there is.
        """
        store = Store(Path(path), new=True)
        try:
            self._stream.kv.copy_blocks_to(store.folder / "layers")
            with closing(self._stream.transcript.copy_to(store.folder / "text")) as transcript:
                store.commit(*self._state(transcript))
        finally:
            store.close()

    def commit(self) -> None:
        """Write the state of a session that has a folder there; otherwise nothing."""
        if self._store is None:
            return
        transcript = self._stream.transcript
        assert isinstance(transcript, Transcript)
        with self._store.pace.paid():
            self._stream.kv.flush()
            self._store.commit(*self._state(transcript))

    def close(self) -> None:
        """Break off answers, close its files, and remove them if it has no folder of its own. Again does no harm."""
        if self._closed:
            return
        self._closed = True
        with ExitStack() as ending:
            if self._scratch is not None:
                ending.callback(self._scratch.cleanup)
            if self._store is not None:
                ending.callback(self._store.close)
            ending.callback(self._stream.close)
            for answer in list(self._answers):
                ending.callback(answer.close)

    def _turn(self, message: str, prefix: str, sampling: dict[str, Any], after: _Done) -> Generation:
        options = Sampling.of(sampling)
        if not message.strip():
            raise InputError("the question is empty", fix="ask something")
        self._break_off()
        encode = self.model.encoder.encode
        prompt = [*self.lead(), *encode(message).ids, *self.model.template.tail, *encode(prefix).ids]
        return self._generation(prompt, options, after, stage=ANSWERED)

    def _generation(self, prompt: list[int], options: Sampling, after: _Done, stage: str) -> Generation:
        before = self._stage, self._stream.pending, self._stream.seen
        whole = self._stream.pending + prompt
        self._stage, self._stream.pending = stage, []
        try:
            made = Generation(self._stream, self.model.tokenizer, whole, options, self.model.eos, after)
            self._answers.add(made)
            return made
        except BaseException:
            if self._stream.seen == before[2]:
                self._stage, self._stream.pending = before[:2]
            raise

    def _break_off(self) -> None:
        """End the answer that is being written into this session: what comes next comes behind it."""
        for answer in list(self._answers):
            if answer.stream is self._stream:
                answer.close()

    def _close_turn(self, reply: Generation) -> None:
        self._stream.kv.end_turn()
        self._close_reply(reply)

    def _close_reply(self, reply: Generation) -> None:
        """The template's text between turns stands for an end-of-text token."""
        self._keep_last(reply)
        if self._stream.pending and self._stream.pending[-1] in self.model.eos:
            self._stream.pending = []
        self.commit()

    def _keep_last(self, reply: Generation) -> None:
        """The token that was drawn last has not been seen by the model."""
        self._stream.pending = reply.drawn[-1:]

    def lead(self) -> list[int]:
        """Tokens that come before a text or question at this point of the stream."""
        template = self.model.template
        return {EMPTY: template.head, READING: template.gap, ANSWERED: template.between, OPEN: []}[self._stage]

    def _read_ids(self, source: Iterable[int]) -> None:
        self._stream.read_pending()
        ids = iter(source)
        while part := list(islice(ids, self._stream.limit())):
            self.model.check_ids(part)
            self._stream.step(part, None)
            self._stage = READING
            self._commit_if_due()

    def _read_document(self, document: Document, progress: ProgressCallback | None) -> None:
        if isinstance(self._stream.transcript, ForkedTranscript):
            assert self._scratch is not None
            self._stream.transcript = self._stream.transcript.copy_to(Path(self._scratch.name) / "text")
        reading = Reading(self._stream, document, self.model.encoder)
        if not reading.resumed:
            self._stream.pending = self._stream.pending + self.lead()
        self._stage = READING
        self._stream.read_pending()
        reading.run(self._commit_if_due, progress)

    def _commit_if_due(self) -> None:
        if self._store is not None and self._store.pace.due:
            self.commit()

    def _state(self, transcript: Transcript) -> tuple[dict[str, Any], dict[str, Tensor]]:
        plain, tensors = self._stream.state_dict(transcript)
        fits = self._stream.kv.fits_on_disk
        budget = self.budget.with_disk() if fits else Budget(self.budget.device, self.budget.host)
        asked = {"method": str(self.method), "budget": str(budget), "stage": self._stage}
        return {**self.model.identity, **asked, **plain}, tensors
