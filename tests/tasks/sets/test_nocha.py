"""NoCha: the claims on a book are read on one reading, both of a pair side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, samples


def claim(title: str, index: int, true: Any) -> dict[str, Any]:
    text = f"The {index}th ship {'left' if true is True else 'stayed'}."
    return {"book_title": title, "claim": text, "type": true, "index": index, "length": 9000, "genre": "historical"}


ROWS = [
    claim("ships", 4, True),
    claim("mills", 9, "False"),
    claim("ships", 5, False),
    claim("ships", 4, False),
    claim("ships", 5, "True"),
]


def write(folder: Path, rows: list[dict[str, Any]]) -> str:
    path = folder / "data_sample.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return str(path)


def test_pairs_stand_side_by_side(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    (tmp_path / "ships.txt").write_text(PROSE, encoding="utf-8")
    (tmp_path / "mills.txt").write_text("Mills. " + PROSE, encoding="utf-8")
    ships, mills = samples("nocha", path)
    assert ships.document.strip() == PROSE and mills.meta["book"] == "mills"
    assert [turn.options["pair"] for turn in ships.turns] == ["4", "4", "5", "5"]
    assert [turn.answer for turn in ships.turns] == ["TRUE", "FALSE", "FALSE", "TRUE"]
    assert score("False, it stayed.", ships.turns[1]).value == 1
    assert score("True", ships.turns[1]).value == score("TRUE or FALSE", ships.turns[1]).value == 0
    assert len(samples("nocha", path, pairs=1)[0].turns) == 2


def test_books_may_lie_elsewhere_and_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path, ROWS[:1])
    with pytest.raises(InputError, match=r"ships\.txt"):
        samples("nocha", path)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "ships.txt").write_text(" \n", encoding="utf-8")
    with pytest.raises(InputError, match="is empty"):
        samples("nocha", path, books=str(shelf))
    (shelf / "ships.txt").write_text(PROSE, encoding="utf-8")
    assert len(samples("nocha", path, books=str(shelf))) == 1
    with pytest.raises(InputError, match="neither true nor false"):
        samples("nocha", write(tmp_path, [claim("ships", 1, "maybe")]), books=str(shelf))
