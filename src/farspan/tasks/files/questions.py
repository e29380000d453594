"""What the adapters of public data sets share: choices, short answers, and where a quoted passage stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from farspan.tasks.kit.sample import Segment, Span, Turn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BRIEFLY = "Answer in as few words as possible."

Item = TypeVar("Item")


def choice(
    question: str, options: Sequence[str], right: str, *, evidence: tuple[Span, ...] = (), **labels: str
) -> Turn:
    """A question with options, answered by the letter `right`; `labels` are kept with the turn's scorer options."""
    letters = LETTERS[: len(options)]
    listed = "\n".join(f"{letter}. {option.strip()}" for letter, option in zip(letters, options, strict=True))
    query = f"{question.strip()}\n{listed}\nAnswer with the letter of the right option alone."
    return Turn(
        query, right, (right,), "mcq_letter", {"letters": letters, **labels}, max_new_tokens=32, evidence=evidence
    )


def letter_of(answer: str, options: Sequence[str]) -> str:
    """The letter of an answer that is the letter itself or the text of an option; empty when it is neither."""
    known = LETTERS[: len(options)]
    texts = [option.strip() for option in options]
    if answer.strip() in texts:
        return known[texts.index(answer.strip())]
    bare = answer.strip().strip("().").upper()
    return bare if len(bare) == 1 and bare in known else ""


def short(
    question: str,
    golds: Sequence[str],
    scorer: str = "f1",
    *,
    how: str = _BRIEFLY,
    options: Mapping[str, Any] | None = None,
    room: int = 0,
    evidence: tuple[Span, ...] = (),
) -> Turn:
    """A question to be answered in a few words; `room` is how many tokens the reply may take, 0 for what fits."""
    query = f"{question.strip()}\n{how}"
    return Turn(query, golds[0], tuple(golds), scorer, options or {}, max_new_tokens=room, evidence=evidence)


def passages(segments: Sequence[Segment], quotes: Sequence[str]) -> tuple[Span, ...]:
    """Where the quotes stand first, for those that stand anywhere word for word; in the order of the text."""
    found = set()
    for quote in filter(None, (one.strip() for one in quotes)):
        for number, segment in enumerate(segments):
            at = segment.text.find(quote)
            if at >= 0:
                found.add(Span(number, at, at + len(quote)))
                break
    return tuple(sorted(found))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """`most` items at even distances, the first among them; all of them for 0."""
    if most <= 0 or most >= len(items):
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]
