"""A session of a reader: the text lies on disk, and every question reads it again."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

from farspan.engine import Generation, Model, Sampling
from farspan.engine.quoting import quote
from farspan.engine.store import Store
from farspan.engine.transcript import ForkedTranscript, Transcript
from farspan.errors import InputError, UsageError
from farspan.folders import scratch_folder
from farspan.readers.kit.answering import answered
from farspan.readers.kit.conversation import Conversation
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.reading import ReaderReading
from farspan.readers.kit.settings import ReaderSettings
from farspan.readers.kit.text import ReadText
from farspan.text import Document, documents
from farspan.types import Budget, Counts, ProgressCallback


class ReaderSession:
    """A text and a conversation about it. Made by `farspan.readers.begin_session` and `farspan.open`; `with` closes it.

    It holds no KV between questions. A text that fits the window with question and answer is answered from whole, and
    where the reader tells it as it stands, exactly as full attention does. An answer may take a quarter of the window,
    and earlier turns of a conversation another: the oldest are left out first. Pieces are read with the question alone.

    With a folder of its own (`store`), what it has read and what was said is committed there. A fork has an `origin`:
    its parent's text, up to where it was made.
    """

    def __init__(
        self,
        settings: ReaderSettings,
        text: ReadText,
        conversation: Conversation,
        *,
        store: Store | None = None,
        scratch: tempfile.TemporaryDirectory[str] | None = None,
        origin: ForkedTranscript | None = None,
    ) -> None:
        self._settings = settings
        self._text = text
        self._conversation = conversation
        self._store = store
        self._scratch = scratch
        self._origin = origin
        self._answers: WeakSet[Generation] = WeakSet()
        self._reply: Generation | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> Model:
        """What answers."""
        return self._settings.model

    @property
    def method(self) -> Reader:
        """How it reads again."""
        return self._settings.method

    @property
    def budget(self) -> Budget:
        """What the KV of an answer may take."""
        return self._settings.budget

    @property
    def path(self) -> Path | None:
        """The folder that it is committed to."""
        return None if self._store is None else self._store.folder

    @property
    def counts(self) -> Counts:
        """Every token is stored, as text; exact while that is within the window and the reader tells it as it stands.
        Of an answer, its own counts tell.
        """
        tokens = self._text.tokens
        exact = not tokens or (self._settings.strategy.as_it_stands and tokens <= self.model.window)
        return Counts(seen=tokens, stored=tokens, exact=exact)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The documents that were read: `file`, `fingerprint`, `chars`, and whether it is `complete`."""
        return self._transcript.files()

    @property
    def own_bytes(self) -> int:
        """Bytes of KV memory that it holds between questions: none."""
        return 0

    @property
    def reading_takes(self) -> int:
        """Bytes of KV memory that reading may take: none."""
        return 0

    @property
    def asking_takes(self) -> int:
        """Bytes of KV memory that a question takes at most: once to look at a piece, and once to be told those kept."""
        per_token = self.model.kv_bytes_per_token
        window, limit = self.model.window * per_token, self.budget.device
        return 2 * (window if limit is None else min(window, limit.in_bytes(per_token)))

    @property
    def open_files(self) -> int:
        """File descriptors that closing it frees; its folder's lock is one."""
        return self._transcript.open_files + (self._store is not None)

    def quote(self, file: str, start: int = 0, end: int | None = None) -> str:
        """The characters `[start, end)` of a document, as a Source counts them. Raises InputError for one not read."""
        return quote(self._transcript.spool, file, start, end)

    def read(self, source: str | Path | Document | Iterable[int], progress: ProgressCallback | None = None) -> Counts:
        """Take in a text: a `str` is the text itself, a `Path` a file or folder; or a Document.

        Nothing is run through the model. Raises InputError for a text that cannot be read, and for token ids: sources
        and sentences need text.
        """
        if not isinstance(source, (str, Path, Document)):
            raise InputError(f"{self.method} reads text, not token ids", fix="give the text itself")
        try:
            for document in documents(source):
                self._read_document(document, progress)
        except KeyboardInterrupt:
            self.commit()
            raise
        self.commit()
        return self.counts

    def ask(self, question: str, *, prefix: str = "", highlight: object = None, **sampling: Any) -> Generation:
        """Answer a question and leave the session as it was. Keywords are those of `Sampling`.

        `prefix` is the beginning of the answer, which the model then goes on from; it is no part of the text given.
        Raises InputError for an empty question, and UsageError for a `highlight`, of which readers make nothing.
        """
        if highlight is not None:
            raise UsageError(
                f"{self.method} makes nothing of a highlight",
                fix="choose a method that steers attention, such as pasta",
            )
        return self._answer(question, prefix, self._checked(question, sampling), lambda _: None)

    def chat(self, message: str, *, prefix: str = "", **sampling: Any) -> Generation:
        """Answer a message; both stay in the session. Keywords as for `ask`. Ends an answer that is being written."""
        options = self._checked(message, sampling)
        self._break_off()
        asked = self.model.encoder.encode(message).ids

        def keep(reply: Generation) -> None:
            self._reply = None
            said = reply.drawn[:-1] if reply.drawn[-1:] and reply.drawn[-1] in self.model.eos else reply.drawn
            self._conversation.add(asked, [*self.model.encoder.encode(prefix).ids, *said])
            self.commit()

        self._reply = self._answer(message, prefix, options, keep)
        return self._reply

    def replay(self, message: str, reply: str) -> None:
        """Take in a message with the reply that was given to it elsewhere; both stay in the session."""
        self._break_off()
        encode = self.model.encoder.encode
        self._conversation.add(encode(message).ids, encode(reply).ids)
        self.commit()

    def fork(self) -> ReaderSession:
        """A session that begins with everything in this one; what either does then, the other does not see.

        The text is shared until the fork reads, so close a fork before the session that it was made from.
        """
        origin = ForkedTranscript(self._transcript, self._text.tokens)
        return ReaderSession(self._settings, self._text, self._conversation.copy(), origin=origin)

    def save(self, path: Path | str) -> None:
        """Write a copy into a new folder, to be opened with `farspan.open`. Raises SessionError when one is there."""
        store = Store(Path(path), new=True)
        try:
            with closing(self._transcript.copy_to(store.folder / "text")) as transcript:
                store.commit(self._state(transcript), {})
        finally:
            store.close()

    def commit(self) -> None:
        """Write the state of a session that has a folder there; otherwise nothing."""
        if self._store is not None:
            with self._store.pace.paid():
                self._store.commit(self._state(self._text.transcript), {})

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
            if self._origin is None:
                ending.callback(self._text.transcript.close)
            for answer in list(self._answers):
                ending.callback(answer.close)

    @property
    def _transcript(self) -> Transcript | ForkedTranscript:
        return self._origin or self._text.transcript

    def _break_off(self) -> None:
        """End the answer that is being written into the conversation: what comes next comes behind it."""
        if self._reply is not None:
            self._reply.close()

    def _checked(self, question: str, sampling: dict[str, Any]) -> Sampling:
        if not question.strip():
            raise InputError("the question is empty", fix="ask something")
        return Sampling.of(sampling)

    def _answer(self, question: str, prefix: str, options: Sampling, done: Callable[[Generation], None]) -> Generation:
        made = answered(self._settings, self._text, self._conversation, question, prefix, options, done)
        self._answers.add(made)
        return made

    def _read_document(self, document: Document, progress: ProgressCallback | None) -> None:
        if self._origin is not None:
            self._scratch = scratch_folder()
            copy = self._origin.copy_to(Path(self._scratch.name) / "text")
            self._text, self._origin = ReadText(copy, len(copy)), None
        reading = ReaderReading(self.model, self._text.transcript, document)
        for self._text in reading.pieces():
            self.model.runner.give_way()
            if self._store is not None and self._store.pace.due:
                self.commit()
            if progress is not None:
                progress(reading.progress(self.counts))

    def _state(self, transcript: Transcript) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self.model.identity,
            "method": str(self.method),
            "budget": str(self.budget),
            "counts": self.counts.as_dict(),
            "files": self.files,
            "transcript": transcript.state_dict(),
            "turns": [" ".join(map(str, turn)) for turn in self._conversation.turns],
        }
