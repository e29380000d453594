"""A tokenizer's chat template, cut into the pieces between which text, questions and answers are put.

Text of the user never passes through the template, so that nothing in it can become a special token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

_ASKED, _ANSWERED, _ASKED_AGAIN = "FARSPANASKED", "FARSPANANSWERED", "FARSPANASKEDAGAIN"


@dataclass(frozen=True, slots=True)
class Template:
    """Token ids around a turn: `head` + text + `gap` + question + `tail` + answer + `between` + next question ..."""

    head: list[int]
    gap: list[int]
    tail: list[int]
    between: list[int]

    @classmethod
    def of(cls, tokenizer: Any) -> Self:
        """Cut a tokenizer's chat template; one that has none gets its BOS as head and a newline as tail."""

        def encode(text: str) -> list[int]:
            return list(tokenizer.encode(text, add_special_tokens=False))

        if not getattr(tokenizer, "chat_template", None):
            bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
            return cls(bos, encode("\n\n"), encode("\n"), encode("\n\n"))
        one = [{"role": "user", "content": _ASKED}]
        two = [*one, {"role": "assistant", "content": _ANSWERED}, {"role": "user", "content": _ASKED_AGAIN}]
        head, _, tail = _render(tokenizer, one).partition(_ASKED)
        between = _render(tokenizer, two).partition(_ANSWERED)[2].partition(_ASKED_AGAIN)[0]
        return cls(encode(head), encode("\n\n"), encode(tail), encode(between))


def _render(tokenizer: Any, messages: list[dict[str, str]]) -> str:
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(rendered, str)
    return rendered
