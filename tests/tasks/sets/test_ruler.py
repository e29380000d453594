"""RULER's files are split where the question begins, and scored by all or any of the outputs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, lines, samples, shown


def needle(value: int, name: str = "grey-boat") -> str:
    return f"One of the special magic numbers for {name} is: {value}."


def test_needles_are_evidence_and_the_others_decoys(tmp_path: Path) -> None:
    facts = [needle(12345), needle(67890), needle(11111, "red-door")]
    context = f"Magic is hidden here.\n{PROSE}\n{facts[0]} {PROSE}\n{facts[1]} {facts[2]}\n{PROSE}\n"
    question = "What are all the special magic numbers for grey-boat mentioned in the provided text?"
    prefix = " The special magic numbers for grey-boat mentioned in the provided text are"
    given = {"index": 0, "input": context + question, "outputs": ["12345", "67890"], "length": 4000}
    path = lines(tmp_path / "niah_multivalue" / "validation.jsonl", [given | {"answer_prefix": prefix}])
    (sample,) = samples("ruler", path)
    turn = sample.turns[0]
    assert sample.document == context and turn.query == question and turn.prefix == prefix
    assert shown(sample) == [fact.removeprefix("One of the ") for fact in facts[:2]]
    assert turn.decoys == ("11111",) and turn.max_new_tokens == 128
    assert score("12345.", turn).value == 0.5
    assert score("123456 and 67890", turn).value == 0.5
    assert sample.meta["task"] == "niah_multivalue"
    assert samples("ruler", str(tmp_path), task="niah_multivalue") == [sample]


def test_one_answer_of_several_will_do_for_questions_on_documents(tmp_path: Path) -> None:
    order = "Answer the question based on the given documents. Only the answer."
    context = f"{order}\n\nThe following are given documents.\n\nDocument 1:\n{PROSE}\nQuestion: no?\n\n"
    query = f"{order}\n\nQuestion: Who left?"
    (sample,) = samples("ruler", lines(tmp_path / "qa.jsonl", [{"input": context + query, "outputs": ["Ann", "Bob"]}]))
    assert sample.document == context and sample.turns[0].query == query
    assert score("It was Bob", sample.turns[0]).value == 1 and sample.turns[0].max_new_tokens == 32


@pytest.mark.parametrize(
    ("question", "room"),
    [
        ("Question: Find all variables that are assigned the value 7 in the text above.", 30),
        ("Question: What are the 10 most common words in the above list?", 120),
        ("Question: What are the three most frequently appeared words in the above coded text?", 50),
    ],
)
def test_examples_before_the_question_stay_in_the_context(tmp_path: Path, question: str, room: int) -> None:
    context = f"An example. Question: What are all that hold the value 8? Answer: X1 X2\n\n{PROSE}\n"
    given = {"input": context + question, "outputs": ["AB", "CD"]}
    (sample,) = samples("ruler", lines(tmp_path / "vt.jsonl", [given]))
    assert sample.document == context and sample.turns[0].query == question
    assert sample.turns[0].max_new_tokens == room
    assert score("CD", sample.turns[0]).value == 0.5


def test_rows_that_are_split_already(tmp_path: Path) -> None:
    given = {"context": PROSE, "question": "Who?", "answer": ["Ann", "Bob"], "answer_prefix": "It was", "task": "qa_1"}
    (sample,) = samples("ruler", lines(tmp_path / "4096.jsonl", [given | {"max_new_tokens": 17}]))
    assert sample.turns[0].scorer == "any_substring" and sample.turns[0].max_new_tokens == 17
    assert sample.meta["task"] == "qa_1" and sample.turns[0].prefix == "It was"


def test_an_input_without_a_question(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 1: field 'input' has no question"):
        samples("ruler", lines(tmp_path / "x.jsonl", [{"input": PROSE, "outputs": ["1"]}]))


def stated(task: str) -> dict[str, object]:
    return {"context": PROSE, "question": f"Which is it, {task}?", "answer": ["Ann"], "task": task}


MIXED = [stated("vt"), stated("qa_1"), stated("cwe"), stated("qa_1")]


def tasks_of(path: str, **knobs: Any) -> list[str]:
    return [sample.meta["task"] for sample in samples("ruler", path, **knobs)]


def test_a_task_is_chosen_by_the_rows_of_one_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "4096" / "test.jsonl", MIXED)
    lines(tmp_path / "8192" / "test.jsonl", MIXED[:2])
    assert tasks_of(path, task="qa_1") == ["qa_1", "qa_1"] and len(tasks_of(path)) == 4
    assert tasks_of(str(tmp_path), task="qa_1") == ["qa_1"] * 3
    assert tasks_of(str(tmp_path), part=8192) == ["vt", "qa_1"]
    assert tasks_of(str(tmp_path), part=8192, task="vt") == ["vt"]
    for where in (path, str(tmp_path)):
        with pytest.raises(InputError, match="no rows of the task fwe"):
            samples("ruler", where, task="fwe")


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        samples("ruler", lines(tmp_path / "test.jsonl", MIXED), task="niah_multikey2")
    assert "did you mean 'niah_multikey_2'" in str(caught.value.fix)


def test_files_that_name_no_task_in_their_rows(tmp_path: Path) -> None:
    plain = {"context": PROSE, "question": "Which is it?", "answer": ["Ann"]}
    alone = lines(tmp_path / "own" / "file.jsonl", [plain])
    assert tasks_of(alone, task="vt") == ["vt"] and tasks_of(alone) == ["file"]
    with pytest.raises(InputError, match="no rows of the task vt"):
        samples("ruler", str(tmp_path / "own"), task="vt")
    one = lines(tmp_path / "sets" / "cwe" / "validation.jsonl", [plain])
    lines(tmp_path / "sets" / "fwe.jsonl", [plain, plain])
    assert tasks_of(str(tmp_path / "sets"), task="fwe") == ["fwe", "fwe"]
    with pytest.raises(InputError, match="no rows of the task vt"):
        samples("ruler", one, task="vt")


def test_a_task_on_the_hub_is_a_configuration_or_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    held = {None: MIXED, "vt": [MIXED[0]], "4096": MIXED[1:]}
    fake = SimpleNamespace(
        __version__="4.1.0",
        get_dataset_config_names=lambda repo: [name for name in held if name],
        load_dataset=lambda repo, name, split: {"test": held[name]},
    )
    monkeypatch.setitem(sys.modules, "datasets", fake)
    assert tasks_of("hub:a/b", task="vt") == ["vt"] and tasks_of("hub:a/b", task="qa_1") == ["qa_1", "qa_1"]
    assert tasks_of("hub:a/b", part=4096, task="cwe") == ["cwe"]
