"""LongBench-Write's files: the prompt is read, and the length of what is written is scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan import tasks
from farspan.errors import InputError
from farspan.evals.scorers import score
from farspan.tasks.sets import longbench_write

ROWS: list[dict[str, Any]] = [
    {"prompt": "Write a 30-word note on tea", "type": "note", "length": 30},
    {"prompt": "\u5199\u4e00\u7bc7200\u5b57\u7684\u6587\u7ae0", "type": "essay", "length": 200},
]


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "write.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_a_text_of_the_length_earns_all_and_another_less(tmp_path: Path) -> None:
    space = tasks.Space(1000, lambda text: len(text.split()))
    task = tasks.get("longbench_write", path=str(written(tmp_path, ROWS)))
    short, long = (sample.turns[0] for sample in task.samples(9, seed=0, space=space))
    assert [len(turn.answer.split()) for turn in (short, long)] == [30, 200]
    assert score(short.answer, short).value == score(long.answer, long).value == 1
    assert 0 < score(" ".join(["tea"] * 45), short).value < 1
    assert score(short.answer, long).value == score(long.answer, short).value == 0
    assert short.options == {"words": 30} and short.max_new_tokens >= 30


def test_the_prompt_is_the_context(tmp_path: Path) -> None:
    assert [one.document.strip() for one in longbench_write.read(written(tmp_path, ROWS))] == [
        row["prompt"] for row in ROWS
    ]


@pytest.mark.parametrize("change", [{"length": 0}, {"length": "thirty"}, {"prompt": " "}, {"prompt": None}])
def test_what_is_amiss_is_told_by_file_and_row(tmp_path: Path, change: dict[str, Any]) -> None:
    path = written(tmp_path, [ROWS[0], {**ROWS[1], **change}])
    with pytest.raises(InputError, match=next(iter(change))) as caught:
        list(longbench_write.read(path))
    assert f"{path}, row 2" in str(caught.value)
