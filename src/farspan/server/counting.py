"""Texts of requests as tokens, some thousand at a time: neither memory nor who waits behind grows with their length.

Nothing here needs the model's turn. `check` is called between the pieces, to raise where nobody waits any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from farspan.engine import Model
from farspan.engine.conversation import Markup, Part
from farspan.server.asked import ContextLengthExceeded
from farspan.server.cutting import stops

Check = Callable[[], None]


def raw_ids(model: Model, text: str, check: Check, *, first: bool = True) -> list[int]:
    """The tokens of a prompt as it stands, with the tokenizer's special tokens where it is the `first` text."""
    ids: list[int] = []
    for piece in model.stream_raw(text, first=first):
        check()
        ids += piece
    return ids


def tokens(model: Model, conversation: Sequence[Part], check: Check) -> int:
    """How many tokens a conversation has."""
    return sum(_counts(model, conversation, check))


def check_length(model: Model, conversation: Sequence[Part], check: Check) -> None:
    """Raise ContextLengthExceeded for a conversation that is longer than the model's window."""
    found = 0
    for count in _counts(model, conversation, check):
        found += count
        if found > model.window:
            raise ContextLengthExceeded(
                f"context_length_exceeded: this model's maximum context length is {model.window:,} tokens, "
                "and these messages have more",
                fix="shorten them, or leave strict out: farspan then reads all of it on its budget",
            )


def _counts(model: Model, conversation: Sequence[Part], check: Check) -> Iterator[int]:
    """The tokens of each piece, in the parts in which they are read."""
    for stop in stops(conversation):
        if isinstance(stop.part, Markup):
            yield len(stop.part.ids)
            continue
        for piece in model.encoder.stream([stop.part.text]):
            check()
            yield len(piece.ids)
