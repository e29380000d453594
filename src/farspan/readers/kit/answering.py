"""An answer of a reader: the parts of the text that it chooses are told to a fresh stream, which goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from farspan.engine import Generation, Sampling
from farspan.engine.retelling import Retelling
from farspan.errors import InputError
from farspan.readers.kit.conversation import Conversation
from farspan.readers.kit.question import Question
from farspan.readers.kit.settings import ReaderSettings
from farspan.readers.kit.text import Range, ReadText, length

_ANSWER_SHARE = _HISTORY_SHARE = 4
_AT_ONCE = 4096

Parts = Sequence[Sequence[Range]]


def answered(
    settings: ReaderSettings,
    text: ReadText,
    conversation: Conversation,
    question: str,
    prefix: str,
    sampling: Sampling,
    done: Callable[[Generation], None],
) -> Generation:
    """Answer a question behind a text and a conversation; `done` is called when the answer has ended.

    An answer may take a quarter of the window, and earlier turns another: the oldest are left out first. Raises
    InputError for a question that leaves no room for any text.
    """
    model = settings.model
    encode, template = model.encoder.encode, model.template
    asked = Question(model, encode(question).ids, [*template.tail, *encode(prefix).ids])
    retelling = Retelling(model, settings.budget, text.transcript)
    try:
        history = conversation.newest(retelling.room // _HISTORY_SHARE)
        answer = min(sampling.max_new_tokens, retelling.room // _ANSWER_SHARE)
        asked.room = retelling.room - answer - len(history) - asked.overhead
        parts = chosen(settings, text, asked)
        _tell(retelling, text, parts, asked)
        prompt = [*(template.gap if parts else ()), *history, *asked.ids, *asked.closing]
        rest = text.tokens - length({one for part in parts for one in part})
        left_out = conversation.tokens - len(history)
        whole = list(parts) == ([text.whole] if text.tokens else [])
        looked = asked.looked
        return retelling.answer(prompt, sampling, done, rest=rest, left_out=left_out, looked=looked, whole=whole)
    except BaseException:
        retelling.close()
        raise


def chosen(settings: ReaderSettings, text: ReadText, question: Question) -> Parts:
    """What to answer from. Raises InputError where a question leaves no room for any text."""
    if not text.tokens:
        return []
    if question.room < 1:
        raise InputError(
            f"a question of {len(question.ids):,} tokens leaves no room for text in the window",
            fix="ask a shorter question, or give a larger --budget where that is below the window",
        )
    return settings.strategy.choose(text, question)


def _tell(retelling: Retelling, text: ReadText, parts: Parts, question: Question) -> None:
    """All but the last question."""
    template = question.model.template
    retelling.tell(template.head)
    for number, part in enumerate(parts):
        if number:
            retelling.tell([*template.gap, *question.ids, *template.gap])
        for start, end in part:
            for low in range(start, end, _AT_ONCE):
                retelling.quote(text.piece(low, min(end, low + _AT_ONCE)))
