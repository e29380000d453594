"""Messages as a method that re-reads takes them in: texts to read, earlier turns, and a question.

Such a method holds no KV that conversations could share, so every request is read from its beginning; what a session
with a name has read is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from farspan.engine.conversation import Message, Passage
from farspan.errors import InputError, UsageError
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Asked
from farspan.server.cutting import LEAST_CITED, cut
from farspan.text import Document
from farspan.types import ProgressCallback

_GAP = "\n\n"
_SHORT_SHARE = 8


@dataclass(slots=True)
class Told:
    """What messages say: `documents` are long passages, `turns` messages with their replies, `rules` short system
    messages, `said` what stands in the message that is answered."""

    documents: list[Document] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def question(self) -> str:
        """The message that is answered: rules go before it, since chosen parts of a text would leave them out."""
        return _GAP.join([*self.rules, *self.said])


def take_in(session: ReaderSession, asked: Asked, progress: ProgressCallback) -> str:
    """Read the texts of a request into a session and put its turns there; the question that is left.

    Raises UsageError for a prompt, which is to be continued, and InputError where the last message is not the user's.
    """
    if asked.prompt is not None:
        raise UsageError(
            f"{session.method} answers messages, and continues no prompt",
            fix="send messages to /v1/chat/completions, or choose another method",
        )
    encoder, most = session.model.encoder, session.model.window // _SHORT_SHARE
    told = tell(asked.messages, lambda text: len(text) < LEAST_CITED or len(encoder.encode(text).ids) <= most)
    for document in told.documents:
        session.read(document, progress)
    for message, reply in told.turns:
        session.replay(message, reply)
    return told.question


def tell(messages: Sequence[Message], is_short: Callable[[str], bool]) -> Told:
    """Sort messages: what is to be read, what was said, and what is asked.

    Of what the user says the last paragraph is the question, as it was where that message was the last. Rules that
    together are not short are texts like others, and so is a last paragraph, where there is something else to ask by.
    """
    if messages[-1].role != "user":
        raise InputError(f"the last message is the {messages[-1].role}'s", fix="send one of the user's behind it")
    told = Told()
    for message in messages:
        passages = [passage for passage in message.passages if passage.text.strip()]
        if message.role == "system":
            for passage in passages:
                if is_short(_GAP.join([*told.rules, passage.text])):
                    told.rules.append(passage.text)
                else:
                    told.documents.append(_document(passage))
        elif message.role == "assistant":
            told.turns.append((_GAP.join(told.said), _GAP.join(passage.text for passage in passages)))
            told.said = []
        elif passages:
            _sort(passages, told, is_short)
    return told


def _sort(passages: Sequence[Passage], told: Told, is_short: Callable[[str], bool]) -> None:
    """What the user says in one message."""
    *before, last = passages
    last = replace(last, text=last.text.rstrip())
    at = last.text.rfind(_GAP) + len(_GAP)
    question = last.after(at) if at >= len(_GAP) else last
    before.append(replace(last, text=last.text[: len(last.text) - len(question.text)]))
    before = [passage for passage in before if passage.text.strip()]
    texts = [passage for passage in before if len(passage.text) >= LEAST_CITED]
    said = [passage.text.rstrip() for passage in before if len(passage.text) < LEAST_CITED]
    if is_short(question.text):
        said.append(question.text)
    elif said:
        texts.append(question)
    else:
        *text, end = cut(question)
        texts += text
        said.append(end.text)
    told.documents += map(_document, texts)
    told.said += said


def _document(passage: Passage) -> Document:
    return Document.from_text(passage.text, passage.name or "message", rest=passage.rest)
