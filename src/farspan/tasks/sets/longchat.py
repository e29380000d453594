"""LongChat-Lines: a record of lines, each with an index and a number; the number of one line is asked for.

Rows have the fields `prompt`, `expected_number` and `correct_line`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from farspan.tasks.files.rows import Row, rows, text
from farspan.tasks.files.whole import whole
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="LongChat (Li et al. 2023), retrieval of lines; the files are the user's",
)


def read(path: str | Path) -> Iterator[Sample]:
    """The samples of a file or folder, each split before its last paragraph, which is the question.

    Raises InputError for a file, row or field that is not as described.
    """
    for number, row in enumerate(rows(str(path)), 1):
        yield _sample(row, number)


def _sample(row: Row, place: int) -> Sample:
    record, gap, question = text(row, "prompt").rstrip().rpartition("\n\n")
    line, number = text(row, "correct_line").strip(), str(whole(row, "expected_number"))
    start = record.find(line)
    if not gap or start < 0 or not line:
        raise row.wrong("field 'prompt' is no record with the correct line in it and a question after it")
    evidence = (Span(0, start, start + len(line)),)
    turn = Turn(question, number, (number,), "first_int", evidence=evidence)
    return Sample((Segment(record + gap),), (turn,), {"row": place, "lines": record.count("\nline ")})
