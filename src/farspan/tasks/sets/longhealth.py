"""LongHealth: questions with five options on the records of made-up patients.

The file is an object of patients, each with `texts` (by name) and `questions` (`question`, `answer_a` to `answer_e`,
`correct`, and `answer_location`: by text, where the passages begin and end as shares of its length).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from farspan.tasks.files.questions import choice, letter_of, spread
from farspan.tasks.files.rows import Row, field, parts, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    source="LongHealth (Adams et al. 2024), its first task; the files are the user's",
    chance=0.2,
)


def read(path: str, *, turns: int = 0) -> Iterator[Sample]:
    """A sample for each patient, with all questions; every document of the record is a segment.

    turns: the most questions on a patient, 0 for all. Raises InputError for a file, row or field that is not as
    described.
    """
    for row in rows(path):
        yield _sample(row, turns)


def _sample(row: Row, most: int) -> Sample:
    texts = field(row, "texts")
    if not isinstance(texts, Mapping) or not texts:
        raise row.wrong("field 'texts' holds no documents")
    heads = {name: f"Document {number}\n" for number, name in enumerate(texts, 1)}
    segments = tuple(Segment(f"{heads[name]}{held}\n\n", name=str(name)) for name, held in texts.items())
    places = {name: (number, len(heads[name]), len(str(held))) for number, (name, held) in enumerate(texts.items())}
    turns = tuple(_turn(one, places) for one in spread(parts(row, "questions"), most))
    meta = {"dataset": "longhealth", "id": row.get("patient_id"), "diagnosis": row.get("diagnosis")}
    return Sample(segments, turns, meta)


def _turn(row: Row, places: Mapping[str, tuple[int, int, int]]) -> Turn:
    options = [text(row, f"answer_{letter}") for letter in "abcde"]
    right = letter_of(text(row, "correct"), options)
    if not right:
        raise row.wrong("field 'correct' is none of the options")
    return choice(text(row, "question"), options, right, evidence=_evidence(row, places))


def _evidence(row: Row, places: Mapping[str, tuple[int, int, int]]) -> tuple[Span, ...]:
    located = row.get("answer_location")
    spans: list[Span] = []
    for name, ends in (located if isinstance(located, Mapping) else {}).items():
        if name not in places or not isinstance(ends, Mapping):
            continue
        number, head, length = places[name]
        for start, end in zip(_shares(ends.get("start")), _shares(ends.get("end")), strict=False):
            spans.append(Span(number, head + int(start * length), head + min(length, int(end * length) + 1)))
    return tuple(sorted(spans))


def _shares(held: Any) -> list[float]:
    """Numbers from 0 to 1; anything else marks no place."""
    listed = held if isinstance(held, list) else [held]
    return [float(one) for one in listed if isinstance(one, int | float) and 0 <= one <= 1]
