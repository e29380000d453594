"""LongBench v2: questions with four options on texts of 8 thousand to 2 million words, of six domains.

A row has the fields `question`, `choice_A` to `choice_D`, `answer`, `context`, `domain`, `difficulty` and `length`.
"""

from __future__ import annotations

from collections.abc import Iterator

from farspan.tasks.files.questions import choice, letter_of
from farspan.tasks.files.rows import Row, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment

CARD = Card(
    scope="several facts",
    diffusion="scattered",
    source="LongBench v2 (Bai et al. 2024); the files are the user's",
    chance=0.25,
    modes=("multi_request",),
)
_LABELS = ("domain", "sub_domain", "difficulty", "length")


def read(path: str, *, domain: str = "", difficulty: str = "", length: str = "") -> Iterator[Sample]:
    """The samples of a domain, a difficulty (`easy`, `hard`) and a length (`short`, `medium`, `long`), or of all.

    Raises InputError for a file, row or field that is not as described.
    """
    for row in rows(path):
        wanted = {"domain": domain, "difficulty": difficulty, "length": length}
        if all(not value or row.get(name) == value for name, value in wanted.items()):
            yield _sample(row)


def _sample(row: Row) -> Sample:
    options = [text(row, f"choice_{letter}") for letter in "ABCD"]
    right = letter_of(text(row, "answer"), options)
    if not right:
        raise row.wrong("field 'answer' is none of the letters A to D")
    meta = {"dataset": "longbench_v2", "id": row.get("_id"), **{name: row.get(name) for name in _LABELS}}
    context = Segment(text(row, "context").strip() + "\n\n")
    return Sample((context,), (choice(text(row, "question"), options, right),), meta)
