"""A session of a reader: the text lies on disk, and every question reads it again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from farspan.engine import Generation, Model, Sampling
from farspan.engine.retelling import Retelling
from farspan.engine.transcript import ForkedTranscript, Transcript
from farspan.errors import InputError, SessionError
from farspan.folders import scratch_folder
from farspan.readers.kit.conversation import Conversation
from farspan.readers.kit.question import Question
from farspan.readers.kit.reader import Reader
from farspan.readers.kit.text import Range, ReadText, length
from farspan.text import Document, documents
from farspan.types import Budget, Counts, Progress, ProgressCallback

_ANSWER_SHARE = _HISTORY_SHARE = 4
_AT_ONCE = 4096


class ReaderSession:
    """A text and a conversation about it. It holds no KV between questions.

    A text that fits the window with question and answer is answered from whole, and where the reader tells it as it
    stands, exactly as full attention does. An answer may take a quarter of the window, and earlier turns of a
    conversation another: the oldest are left out first. Pieces are read with the question alone.
    """

    def __init__(self, model: Model, method: Reader, budget: Budget, parent: ReaderSession | None = None) -> None:
        self.model = model
        self.method = method
        self._strategy = method.strategy.resolve(model)
        self.budget = budget
        self.path: Path | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._origin: ForkedTranscript | None = None
        self._closed = False
        self._reply: Generation | None = None
        if parent is None:
            self._scratch = scratch_folder()
            self._text = ReadText(Transcript(Path(self._scratch.name) / "text"), 0)
            self._conversation = Conversation(model.template)
        else:
            self._text, self._conversation = parent._text, parent._conversation.copy()
            self._origin = ForkedTranscript(parent._origin or parent._text.transcript, parent._text.tokens)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """Every token is stored, as text; exact while that is within the window and the reader tells it as it stands.
        Of an answer, its own counts tell.
        """
        tokens = self._text.tokens
        exact = not tokens or (self._strategy.as_it_stands and tokens <= self.model.window)
        return Counts(seen=tokens, stored=tokens, exact=exact)

    @property
    def files(self) -> list[dict[str, Any]]:
        """The documents that were read: `file`, `fingerprint`, `chars`, and whether it is `complete`."""
        return (self._origin or self._text.transcript).files()

    def read(self, source: str | Path | Document | Iterable[int], progress: ProgressCallback | None = None) -> Counts:
        """Take in a text: a `str` is the text itself, a `Path` a file or folder; or a Document.

        Nothing is run through the model. Raises InputError for a text that cannot be read, and for token ids: sources
        and sentences need text.
        """
        if not isinstance(source, (str, Path, Document)):
            raise InputError(f"{self.method} reads text, not token ids", fix="give the text itself")
        for document in documents(source):
            self._read_document(document, progress)
        return self.counts

    def ask(self, question: str, *, prefix: str = "", **sampling: Any) -> Generation:
        """Answer a question and leave the session as it was. Keywords are those of `Sampling`.

        `prefix` is the beginning of the answer, which the model then goes on from; it is no part of the text given.
        """
        return self._answer(question, prefix, Sampling.of(sampling), done=lambda _: None)

    def chat(self, message: str, *, prefix: str = "", **sampling: Any) -> Generation:
        """Answer a message; both stay in the session. Keywords as for `ask`. Ends an answer that is being written."""
        self._break_off()
        asked = self.model.encoder.encode(message).ids

        def keep(reply: Generation) -> None:
            self._reply = None
            said = reply.drawn[:-1] if reply.drawn[-1:] and reply.drawn[-1] in self.model.eos else reply.drawn
            self._conversation.add(asked, [*self.model.encoder.encode(prefix).ids, *said])

        self._reply = reply = self._answer(message, prefix, Sampling.of(sampling), done=keep)
        return reply

    def replay(self, message: str, reply: str) -> None:
        """Take in a message with the reply that was given to it elsewhere; both stay in the session."""
        self._break_off()
        encode = self.model.encoder.encode
        self._conversation.add(encode(message).ids, encode(reply).ids)

    def fork(self) -> ReaderSession:
        """A session that begins with everything in this one; what either does then, the other does not see.

        The text is shared until the fork reads, so close a fork before the session that it was made from.
        """
        return ReaderSession(self.model, self.method, self.budget, self)

    def save(self, path: Path | str) -> None:
        """Not yet: raises SessionError."""
        raise cannot_be_kept(self.method)

    def close(self) -> None:
        """Close its files and remove them. Again does no harm."""
        if self._closed:
            return
        self._break_off()
        self._closed = True
        if self._scratch is not None:
            self._text.transcript.close()
            self._scratch.cleanup()

    def _break_off(self) -> None:
        """End the answer that is being written into the conversation: what comes next comes behind it."""
        if self._reply is not None:
            self._reply.close()

    def _read_document(self, document: Document, progress: ProgressCallback | None) -> None:
        if self._origin is not None:
            self._scratch = scratch_folder()
            copy = self._origin.copy_to(Path(self._scratch.name) / "text")
            self._text, self._origin = ReadText(copy, len(copy)), None
        transcript, began, tokens = self._text.transcript, time.perf_counter(), 0
        record, resumed = transcript.open_document(document)
        for piece in transcript.stream(document, record, self.model.encoder):
            if not tokens and not resumed and len(transcript):
                transcript.add(self.model.template.gap)
            transcript.add(*piece)
            tokens += len(piece.ids)
            self._text = ReadText(transcript, len(transcript))
            if progress is not None:
                progress(
                    Progress(
                        file=document.name,
                        tokens=tokens,
                        chars=piece.ends[-1] - record.start,
                        total_chars=document.total_chars,
                        seconds=time.perf_counter() - began,
                        counts=self.counts,
                    )
                )
        transcript.spool.finish()

    def _answer(self, question: str, prefix: str, sampling: Sampling, done: Callable[[Generation], None]) -> Generation:
        if not question.strip():
            raise InputError("the question is empty", fix="ask something")
        encode, template = self.model.encoder.encode, self.model.template
        asked = Question(self.model, encode(question).ids, [*template.tail, *encode(prefix).ids])
        retelling = Retelling(self.model, self.budget, self._text.transcript)
        try:
            history = self._conversation.newest(retelling.room // _HISTORY_SHARE)
            answer = min(sampling.max_new_tokens, retelling.room // _ANSWER_SHARE)
            asked.room = retelling.room - answer - len(history) - asked.overhead
            parts = self._parts(asked)
            self._tell(retelling, parts, asked)
            prompt = [*(template.gap if parts else ()), *history, *asked.ids, *asked.closing]
            rest = self._text.tokens - length({one for part in parts for one in part})
            as_it_stands = list(parts) == ([self._text.whole] if self._text.tokens else [])
            whole = as_it_stands and len(history) == self._conversation.tokens
            return retelling.answer(prompt, sampling, done, rest=rest, looked=asked.looked, whole=whole)
        except BaseException:
            retelling.close()
            raise

    def _parts(self, question: Question) -> Sequence[Sequence[Range]]:
        """What to answer from. Raises InputError where a question leaves no room for any text."""
        if not self._text.tokens:
            return []
        if question.room < 1:
            raise InputError(
                f"a question of {len(question.ids):,} tokens leaves no room for text in the window",
                fix="ask a shorter question, or give a larger --budget where that is below the window",
            )
        return self._strategy.choose(self._text, question)

    def _tell(self, retelling: Retelling, parts: Sequence[Sequence[Range]], question: Question) -> None:
        """All but the last question."""
        template = self.model.template
        retelling.tell(template.head)
        for number, part in enumerate(parts):
            if number:
                retelling.tell([*template.gap, *question.ids, *template.gap])
            for start, end in part:
                for low in range(start, end, _AT_ONCE):
                    retelling.quote(self._text.piece(low, min(end, low + _AT_ONCE)))


def cannot_be_kept(method: Reader) -> SessionError:
    """The error of a reader's session that is to be kept."""
    return SessionError(
        f"a session of {method} cannot be kept yet",
        fix="go on without keeping it, or choose a method that does not re-read",
    )
