"""LongBench-Write: a text of a given number of words is to be written; only its length is scored.

Rows have the fields `prompt` and `length`, and often `type`; longwrite_ruler is another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from farspan.tasks.files.rows import Row, rows, text
from farspan.tasks.files.whole import whole
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.fillers import Synthetic
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="all",
    diffusion="computed",
    source="LongWriter (Bai et al. 2024), LongBench-Write and LongWrite-Ruler, length score; the files are the user's",
    chance=0.32,
)


def read(path: str | Path) -> Iterator[Sample]:
    """The samples of a file or folder; the prompt is the context, and the query only says to begin.

    Raises InputError for a file, row or field that is not as described.
    """
    for number, row in enumerate(rows(str(path)), 1):
        yield _sample(row, number)


def _sample(row: Row, place: int) -> Sample:
    prompt, words = text(row, "prompt"), whole(row, "length")
    if words < 1 or not prompt.strip():
        raise row.wrong("field 'prompt' is empty, or field 'length' is below 1")
    turn = Turn("Write the whole text now.", _prose(words), (str(words),), "length_score", {"words": words})
    return Sample((Segment(prompt + "\n\n"),), (turn,), {"row": place, "words": words})


def _prose(amount: int) -> str:
    """So many words of prose."""
    words: list[str] = []
    for piece in Synthetic().pieces(random.Random(amount)):
        words += piece.split()
        if len(words) >= amount:
            break
    return " ".join(words[:amount])
