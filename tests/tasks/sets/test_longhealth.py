"""LongHealth: a patient's record is read once, and every question has five options and its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, samples, shown

LETTERS = "abcde"


def question(correct: str, **fields: Any) -> dict[str, Any]:
    options = {f"answer_{letter}": f"The {letter}th dose " for letter in LETTERS}
    return {"No": 0, "question": "Which dose was given?"} | options | {"correct": correct} | fields


def patient(*questions: dict[str, Any]) -> dict[str, Any]:
    texts = {"text_0": "x" * 30 + "0123456789" + "y" * 60, "text_1": PROSE}
    return {"texts": texts, "patient_id": "p1", "diagnosis": "none", "questions": list(questions)}


def write(path: Path, held: Any) -> str:
    path.write_text(json.dumps(held), encoding="utf-8")
    return str(path)


def test_a_patient_is_one_sample(tmp_path: Path) -> None:
    places = {"text_0": {"start": [0.3, 0.9], "end": [0.39, 1.0]}, "text_9": {"start": [0], "end": [1]}}
    asked = [question("The cth dose", answer_location=places), question("The eth dose "), question("The ath dose")]
    path = write(tmp_path / "b.json", {"patient_01": patient(*asked), "patient_02": patient(asked[0])})
    first, second = samples("longhealth", path)
    assert [segment.name for segment in first.segments] == ["text_0", "text_1"]
    assert [turn.answer for turn in first.turns] == ["C", "E", "A"] and len(second.turns) == 1
    assert shown(first) == ["0123456789", "y" * 10] and shown(first, 1) == []
    assert first.turns[0].options["letters"] == "ABCDE" and "E. The eth dose" in first.turns[0].query
    assert score("The answer is C.", first.turns[0]).value == 1 and score("B", first.turns[0]).value == 0
    assert first.meta == {"dataset": "longhealth", "id": "p1", "diagnosis": "none"}
    assert [turn.answer for turn in samples("longhealth", path, turns=2)[0].turns] == ["C", "E"]


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="questions 1: field 'correct' is none"):
        samples("longhealth", write(tmp_path / "a.json", {"p": patient(question("A pill"))}))
    with pytest.raises(InputError, match="no field 'answer_e'"):
        broken = question("The ath dose")
        del broken["answer_e"]
        samples("longhealth", write(tmp_path / "b.json", {"p": patient(broken)}))
    with pytest.raises(InputError, match="holds no documents"):
        samples("longhealth", write(tmp_path / "c.json", {"p": patient(question("The ath dose")) | {"texts": {}}}))
