"""LongChat-Lines' files: the question is split from the record, and the line that answers it is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan import tasks
from farspan.errors import InputError
from farspan.evals.scorers import score
from farspan.tasks.sets import longchat

LINES = [f"line {name}: REGISTER_CONTENT is <{number}>" for name, number in (("a-b", 12), ("c-d", 7), ("e-f", 40231))]


def row(asked: int) -> dict[str, Any]:
    name, number = LINES[asked].split()[1].rstrip(":"), int(LINES[asked].split("<")[1].rstrip(">"))
    return {
        "random_idx": [name, asked],
        "expected_number": number,
        "num_lines": 3,
        "correct_line": LINES[asked] + "\n",
        "prompt": "Remember this:\n\n" + "\n".join(LINES) + f"\n\nTell me the <REGISTER_CONTENT> in line {name}? \n",
    }


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "lines.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in rows) + "\n\n", encoding="utf-8")
    return path


def test_the_question_comes_apart_from_the_record(tmp_path: Path) -> None:
    space = tasks.Space(1000, len)
    made = list(tasks.get("longchat", path=str(written(tmp_path, [row(0), row(2)]))).samples(9, seed=0, space=space))
    assert [sample.turns[0].query for sample in made] == [
        f"Tell me the <REGISTER_CONTENT> in line {name}?" for name in ("a-b", "e-f")
    ]
    for sample, place in zip(made, (0, 2), strict=True):
        (turn,) = sample.turns
        assert sample.document == "Remember this:\n\n" + "\n".join(LINES) + "\n\n"
        assert [sample.document[start:end] for start, end in sample.spans(turn)] == [LINES[place]]
        assert sample.meta["lines"] == 3
        assert score(turn.answer, turn).value == 1
        assert score(f"The <REGISTER_CONTENT> is {turn.answer}.", turn).value == 1
        assert score(made[place == 0].turns[0].answer, turn).value == 0


@pytest.mark.parametrize(
    ("change", "amiss"),
    [
        ({"prompt": "all in one"}, "no record"),
        ({"correct_line": "line x-y: REGISTER_CONTENT is <1>"}, "no record"),
        ({"correct_line": ""}, "no record"),
        ({"expected_number": "twelve"}, "'expected_number' is no whole number"),
        ({"expected_number": True}, "'expected_number' is no whole number"),
    ],
)
def test_what_is_amiss_is_told_by_file_and_row(tmp_path: Path, change: dict[str, Any], amiss: str) -> None:
    path = written(tmp_path, [row(0), row(1), {**row(2), **change}])
    with pytest.raises(InputError, match=amiss) as caught:
        list(longchat.read(path))
    assert f"{path}, row 3" in str(caught.value)


def test_a_missing_field_and_a_broken_line_are_told(tmp_path: Path) -> None:
    short = row(1)
    del short["correct_line"]
    with pytest.raises(InputError, match="row 1: there is no field 'correct_line'"):
        list(longchat.read(written(tmp_path, [short])))
    path = written(tmp_path, [row(0)])
    path.write_text(path.read_text(encoding="utf-8") + '{"prompt": ', encoding="utf-8")
    with pytest.raises(InputError, match="line 3"):
        list(longchat.read(str(path)))
