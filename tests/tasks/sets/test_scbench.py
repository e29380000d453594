"""SCBench: the questions on a context are the turns of one sample, each scored by its own rule."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, lines, samples, shown

PAIRS = {str(uuid.UUID(int=7**i + 2**120)): str(uuid.UUID(int=5**i + 2**121)) for i in range(2, 30)}


def turn(question: str, answer: Any, **fields: Any) -> dict[str, Any]:
    return {"input": question, "answer": answer} | fields


def test_the_other_values_are_decoys(tmp_path: Path) -> None:
    asked = list(PAIRS)[3:8]
    given = {"id": 4, "context": json.dumps(PAIRS), "multi_turns": [turn(f'Key: "{key}"', PAIRS[key]) for key in asked]}
    path = lines(tmp_path / "scbench_kv.jsonl", [given])
    (sample,) = samples("scbench", path)
    assert len(sample.turns) == 5 and sample.meta["dataset"] == "scbench_kv"
    for number, key in enumerate(asked):
        assert shown(sample, number) == [PAIRS[key]]
    assert sample.turns[0].decoys == tuple(PAIRS[key] for key in asked[1:])
    assert score(PAIRS[asked[1]] + " " + PAIRS[asked[0]], sample.turns[0]).value == 0
    (fewer,) = samples("scbench", path, dataset="kv", turns=2)
    assert [one.query for one in fewer.turns] == [sample.turns[0].query, sample.turns[2].query]


def test_numbers_variables_and_options(tmp_path: Path) -> None:
    numbers = [5, 99, 7, 12] * 60
    mf = {"context": numbers, "multi_turns": [turn("The largest number is: ", 99), turn("The median is: ", 9.5)]}
    vt = {"input": PROSE, "multi_turns": [turn("Which variables hold 7?", ["ABC", "DEF"])]}
    options = ["Ann", "Bob", "Cid", "Dan"]
    choice = {
        "context": PROSE,
        "multi_turns": [turn("Who?", "Bob", options=options), turn("Who else?", "D", options=options)],
    }
    lines(tmp_path / "scbench_mf.jsonl", [mf])
    lines(tmp_path / "scbench_vt.jsonl", [vt])
    lines(tmp_path / "scbench_choice_eng" / "test-00000-of-00001.jsonl", [choice])
    lines(tmp_path / "scbench_qa_chn.jsonl", [vt])
    chosen, found, traced = samples("scbench", str(tmp_path))
    assert "5, 99, 7, 12" in found.document and score("It is 99.", found.turns[0]).value == 1
    assert score("9.5", found.turns[1]).value == 1
    assert score("ABC only", traced.turns[0]).value == 0.5
    assert [one.answer for one in chosen.turns] == ["B", "D"] and "C. Cid" in chosen.turns[0].query


def test_shots_books_and_summaries(tmp_path: Path) -> None:
    lettered = turn("Pick:\n(A) one\n(B) two\n(C) three", "(B)")
    lines(tmp_path / "scbench_many_shot.jsonl", [{"context": PROSE, "task": "dates", "multi_turns": [lettered]}])
    lines(tmp_path / "scbench_qa_eng.jsonl", [{"context": PROSE, "multi_turns": [turn("Who?", "old Ann")]}])
    both = [turn("Sum up.", "Ships left.", task="scbench_summary"), turn("Key?", "71432", task="scbench_passkey")]
    both_on = {"context": PROSE + " The key is 71432. " + PROSE, "multi_turns": both}
    lines(tmp_path / "scbench_summary_with_needles.jsonl", [both_on])
    code = [turn("The function that adds.", "def add(a, b):\n    return a + b", task="scbench_repoqa")]
    lines(tmp_path / "scbench_repoqa_and_kv.jsonl", [{"context": PROSE, "multi_turns": code}])
    shots, book, repo, mixed = samples("scbench", str(tmp_path))
    assert shots.turns[0].scorer == "mcq_letter" and shots.turns[0].options["letters"] == "ABC"
    assert score("Old Ann", book.turns[0]).value == 1
    assert repo.turns[0].scorer == "edit_similarity" and repo.turns[0].max_new_tokens == 1024
    assert [one.scorer for one in mixed.turns] == ["rouge_l", "first_int"]
    assert shown(mixed, 1) == ["71432"]


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    given = {"context": PROSE, "multi_turns": [turn("a", "b"), {"input": "c"}]}
    with pytest.raises(InputError, match="row 1, multi_turns 2: there is no field 'answer'"):
        samples("scbench", lines(tmp_path / "scbench_kv.jsonl", [given]))
    with pytest.raises(InputError, match="dataset="):
        samples("scbench", lines(tmp_path / "mine.jsonl", [given]))
    with pytest.raises(UsageError, match="scbench_prefix_suffix"):
        samples("scbench", str(tmp_path), dataset="prefix")
    with pytest.raises(InputError, match="none of the options"):
        wrong = {"context": PROSE, "multi_turns": [turn("Who?", "Eve", options=["Ann", "Bob"])]}
        samples("scbench", lines(tmp_path / "scbench_choice_eng.jsonl", [wrong]))
