"""Messages of a conversation become template text and passages, in the order in which a model reads them.

Text of the user never passes through the template, so that nothing in it can become a special token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from farspan.errors import InputError

_MARK = "FARSPANMESSAGE{}END"
_MARKED = re.compile(_MARK.format(r"(\d+)"))
_GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Passage:
    """Text of a message. Sources name it `name`; what has none is read, and never a source.

    Of a longer text, `rest` characters and newlines came before.
    """

    text: str
    name: str | None = None
    rest: tuple[int, int] = (0, 0)

    def after(self, chars: int) -> Passage:
        """What is left of it behind so many characters."""
        before = self.text[:chars]
        rest = (self.rest[0] + chars, self.rest[1] + before.count("\n"))
        return Passage(self.text[chars:], self.name, rest)


@dataclass(frozen=True, slots=True)
class Markup:
    """Text between messages, as token ids; `ends_turn` where what comes before it is an answer."""

    ids: tuple[int, ...]
    ends_turn: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says: `role` is system, user, assistant or another that the template knows."""

    role: str
    passages: tuple[Passage, ...]


Part = Markup | Passage


def parts(tokenizer: Any, messages: Sequence[Message]) -> list[Part]:
    """The messages as the model's chat template puts them, and behind them what makes the model answer.

    The passages of a message are set apart by an empty line. Raises InputError where there are no messages, and for
    those that the template refuses.
    """
    if not messages:
        raise InputError("there are no messages", fix="send at least one")
    rendered = _rendered(tokenizer, [message.role for message in messages])
    pieces = _MARKED.split(rendered)
    if [int(number) for number in pieces[1::2]] != list(range(len(messages))):
        raise InputError(
            "the model's chat template leaves out some of these messages",
            fix="send system, user and assistant messages with text, the last one the user's",
        )
    found: list[Part] = [_markup(tokenizer, pieces[0])]
    for message, between in zip(messages, pieces[2::2], strict=True):
        for number, passage in enumerate(message.passages):
            found += [_markup(tokenizer, _GAP), passage] if number else [passage]
        found.append(_markup(tokenizer, between, ends_turn=message.role == "assistant"))
    return [part for part in found if not isinstance(part, Markup) or part.ids]


def raw_parts(tokenizer: Any, prompt: str) -> list[Part]:
    """A prompt that its writer put together, special tokens and all: these are markup, the text between is `prompt`."""
    known = {str(token): id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special}
    special = sorted(known, key=len, reverse=True)
    pieces = re.split(f"({'|'.join(map(re.escape, special))})", prompt) if special else [prompt]
    found: list[Part] = []
    chars = newlines = 0
    for number, piece in enumerate(pieces):
        if number % 2:
            last = found[-1] if found else None
            before = last.ids if isinstance(last, Markup) else ()
            found[len(found) - bool(before) :] = [Markup((*before, known[piece]))]
        elif piece:
            found.append(Passage(piece, "prompt", (chars, newlines)))
        chars, newlines = chars + len(piece), newlines + piece.count("\n")
    return found


def _markup(tokenizer: Any, text: str, ends_turn: bool = False) -> Markup:
    return Markup(tuple(tokenizer.encode(text, add_special_tokens=False)), ends_turn)


def _rendered(tokenizer: Any, roles: Sequence[str]) -> str:
    marked = [{"role": role, "content": _MARK.format(number)} for number, role in enumerate(roles)]
    if not getattr(tokenizer, "chat_template", None):
        begin = "" if tokenizer.bos_token is None else tokenizer.bos_token
        return begin + _GAP.join(message["content"] for message in marked) + "\n"
    from jinja2 import TemplateError

    try:
        rendered = tokenizer.apply_chat_template(marked, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise InputError(
            f"the model's chat template refuses these messages: {error}",
            fix="begin with the user's message, or a system message, and let user and assistant take turns",
        ) from error
    assert isinstance(rendered, str)
    return rendered
