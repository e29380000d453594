"""Messages as a method that re-reads takes them in: texts to read, earlier turns, and a question.

Such a method holds no KV that conversations could share, so every request is read from its beginning; what a session
with a name has read is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from farspan.engine import Generation
from farspan.engine.conversation import Message, Passage
from farspan.errors import InputError, UsageError
from farspan.readers.kit.session import ReaderSession
from farspan.server.asked import Asked
from farspan.server.cutting import LEAST_CITED, cut
from farspan.text import Document
from farspan.types import ProgressCallback

_GAP = "\n\n"
_RULES_SHARE = 8
_CHARS_A_TOKEN = 4


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


def reread(session: ReaderSession, asked: Asked, progress: ProgressCallback) -> Generation:
    """Read the texts of a request into a session, put its turns there, and have the last message answered.

    Raises UsageError for a prompt, which is to be continued, and InputError where the last message is not the user's.
    """
    if asked.prompt is not None:
        raise UsageError(
            f"{session.method} answers messages, and continues no prompt",
            fix="send messages to /v1/chat/completions, or choose another method",
        )
    told = tell(asked.messages, longest_rule=session.model.window // _RULES_SHARE * _CHARS_A_TOKEN)
    for document in told.documents:
        session.read(document, progress)
    for message, reply in told.turns:
        session.replay(message, reply)
    return session.ask(told.question, **asked.sampling)


def tell(messages: Sequence[Message], longest_rule: int) -> Told:
    """Sort messages; system messages of more than `longest_rule` characters are texts like others.

    Of what the user says the last paragraph is the question, as it was where that message was the last.
    """
    if messages[-1].role != "user":
        raise InputError(f"the last message is the {messages[-1].role}'s", fix="send one of the user's behind it")
    told = Told()
    for message in messages:
        if message.role == "system":
            told.rules += _short(message.passages, longest_rule + 1, told.documents)
        elif message.role == "assistant":
            told.turns.append((_GAP.join(told.said), _GAP.join(passage.text for passage in message.passages)))
            told.said = []
        else:
            text, question = cut(message.passages[-1])
            told.said += _short([*message.passages[:-1], text], LEAST_CITED, told.documents)
            told.said.append(question.text)
    return told


def _short(passages: Sequence[Passage], least: int, documents: list[Document]) -> list[str]:
    """The passages that are shorter than this; the others are documents."""
    short = []
    for passage in passages:
        if len(passage.text) >= least:
            documents.append(Document.from_text(passage.text, passage.name or "message", rest=passage.rest))
        elif passage.text.strip():
            short.append(passage.text.rstrip())
    return short
