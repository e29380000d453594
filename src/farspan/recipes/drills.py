"""Drills of random tokens: they keep every token of the vocabulary copyable, which no prose does.

Without them a model that is trained on quotes of its own texts soon forgets how to copy the words of others.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from farspan.recipes.rows import Row


@dataclass(frozen=True, slots=True)
class Frame:
    """The ids around a quote: a first and a later question up to the quotation mark, the closing mark, the markers."""

    first: list[int]
    later: list[int]
    close: list[int]
    begin: int
    user: int
    assistant: int
    end: int
    vocabulary: int


def quotes(rng: random.Random, length: int, frame: Frame) -> Row:
    """Quotes of random tokens; most documents repeat passages with tokens changed, so that short matches mislead."""
    questions = max(1, min(10, int(length * rng.uniform(0.15, 0.6)) // 40))
    room = length - questions * 40
    body = _tokens(rng, room, frame)
    if rng.random() < 0.6:
        _disturb(rng, body)
    row = Row("random_quotes")
    row.add([frame.begin, *body])
    for turn in range(questions):
        given, following = rng.randint(7, 16), rng.randint(6, 12)
        at = rng.randrange(max(1, room - given - following))
        lead = frame.later if turn else frame.first
        row.add([*lead, *body[at : at + given], *frame.close, frame.assistant])
        row.answer(body[at + given : at + given + following])
        row.add([frame.end, frame.user])
    row.cut(length + 1)
    return row


def copies(rng: random.Random, length: int, frame: Frame) -> Row:
    """Random tokens, passages of which are said again without a question; learnt from their fifth token on."""
    row = Row("copy")
    body = _tokens(rng, length // 2, frame)
    row.add([frame.begin, *body])
    while len(row.ids) < length - 30:
        size = rng.randint(10, 26)
        at = rng.randrange(max(1, len(body) - size))
        passage = body[at : at + size]
        row.add(_tokens(rng, rng.randint(1, 4), frame) + passage[:4])
        row.answer(passage[4:])
    return row


def _tokens(rng: random.Random, amount: int, frame: Frame) -> list[int]:
    """Half of the time any tokens, else the more frequent ones, which then repeat by chance."""
    first = frame.end + 1
    most = rng.choice((first + 300, first + 1500, frame.vocabulary, frame.vocabulary))
    return [rng.randrange(first, min(most, frame.vocabulary)) for _ in range(amount)]


def _disturb(rng: random.Random, body: list[int]) -> None:
    """Write altered copies of passages over other passages of `body`."""
    for _ in range(max(1, len(body) // 80)):
        size = rng.randint(6, 16)
        if len(body) < 3 * size:
            return
        source, target = rng.randrange(len(body) - size), rng.randrange(len(body) - size)
        for i in range(size):
            if rng.random() < 0.75:
                body[target + i] = body[source + i]
