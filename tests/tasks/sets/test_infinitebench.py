"""InfiniteBench: every English task by its own rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample
from tests.tasks.sets.reading import PROSE, lines, samples, shown


def row(answer: Any, **fields: Any) -> dict[str, Any]:
    return {"id": 1, "context": PROSE, "input": "What is it?", "answer": answer, "options": []} | fields


def one(tmp_path: Path, task: str, answer: Any, **fields: Any) -> Sample:
    (sample,) = samples("infinitebench", lines(tmp_path / f"{task}.jsonl", [row(answer, **fields)]))
    assert sample.meta["task"] == task
    return sample


def test_numbers(tmp_path: Path) -> None:
    hidden = f"{PROSE} The pass key is 71432. Remember 71432. {PROSE}"
    sample = one(tmp_path, "passkey", ["71432"], context=hidden)
    assert shown(sample) == ["71432"] and score("71432. It is.", sample.turns[0]).value == 1
    assert score("It is 7, or 71432", sample.turns[0]).value == 0
    found = one(tmp_path, "math_find", [88], context=[88, 1, 5] * 80, input="The largest number of the list is: ")
    assert "88, 1, 5" in found.document and score("88", found.turns[0]).value == 1
    run = one(tmp_path, "code_run", [-4])
    assert score("func_1(3) calls func_2(3), which is -4", run.turns[0]).value == 1
    assert score("4", run.turns[0]).value == 0
    calc = one(tmp_path, "math_calc", ["1", "-3", "7"], context="1 - 4 + 10" + " " * 400, input="")
    assert calc.turns[0].answer == "[1, -3, 7]"
    assert score("[1, -3, 8]", calc.turns[0]).value == pytest.approx(2 / 3)
    assert score("[-3, 7]", calc.turns[0]).value == 0


def test_books_and_code(tmp_path: Path) -> None:
    options = ["Ann", "Bob", "Cid", "Dan"]
    assert one(tmp_path, "longbook_choice_eng", ["Bob"], options=options).turns[0].answer == "B"
    assert one(tmp_path, "code_debug", ["Cid", "C"], options=options).turns[0].answer == "C"
    said = one(tmp_path, "longdialogue_qa_eng", ["ACE", "Ace Roth"], input="")
    assert score("It is Ace.", said.turns[0]).value == 1 and "$$MASK$$" in said.turns[0].query
    assert one(tmp_path, "longbook_qa_eng", ["the war", "a war"]).turns[0].scorer == "f1"
    assert one(tmp_path, "longbook_sum_eng", ["A long tale."], input="").turns[0].max_new_tokens == 1200
    assert one(tmp_path, "number_string", ["3000077442"]).turns[0].gold == ("3000077442",)


def test_a_folder_and_its_tasks(tmp_path: Path) -> None:
    lines(tmp_path / "kv_retrieval.jsonl", [row("5e6b7b90-710d"), row("060f3306-5ad1")])
    lines(tmp_path / "longbook_qa_chn.jsonl", [row("x")])
    lines(tmp_path / "passkey.jsonl", [row("12345")])
    assert [sample.meta["task"] for sample in samples("infinitebench", str(tmp_path))] == ["kv_retrieval"] * 2 + [
        "passkey"
    ]
    (sample,) = samples("infinitebench", str(tmp_path), task="passkey")
    assert sample.turns[0].gold == ("12345",)


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the options"):
        one(tmp_path, "code_debug", ["Eve"], options=["Ann", "Bob"])
    with pytest.raises(InputError, match="task="):
        samples("infinitebench", lines(tmp_path / "mine.jsonl", [row("x")]))
    with pytest.raises(UsageError, match="passkey"):
        samples("infinitebench", str(tmp_path), task="pass_key")
