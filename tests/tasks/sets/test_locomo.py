"""LoCoMo: a conversation in segments, all its questions on one reading, unanswerable ones among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, samples, shown


def said(mark: str, speaker: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"dia_id": mark, "speaker": speaker, "text": text} | fields


TALK = {
    "speaker_a": "Ann",
    "speaker_b": "Bob",
    "session_10_date_time": "1:00 pm on 9 June, 2023",
    "session_10": [said("D10:1", "Bob", "I swam."), said("D10:2", "Ann", PROSE)],
    "session_2_date_time": "1:56 pm on 8 May, 2023",
    "session_2": [said("D2:1", "Ann", "I paint, and I sing."), said("D2:2", "Bob", "See!", blip_caption="a red boat")],
    "session_3_date_time": "never",
}


def question(category: int, **fields: Any) -> dict[str, Any]:
    return {"question": f"Question {category}?", "category": category, "evidence": ["D2:1"]} | fields


QA = [
    question(1, answer="painting, singing", evidence=["D2:1; D10:1", "D9:9"]),
    question(2, answer=2022),
    question(3, answer="Likely yes; she loves boats"),
    question(4, answer="a boat"),
    question(5, adversarial_answer="the mill"),
    question(5, answer="No", adversarial_answer="Yes"),
]


def write(path: Path, rows: list[Any]) -> str:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return str(path)


def test_a_conversation_is_one_sample(tmp_path: Path) -> None:
    (sample,) = samples("locomo", write(tmp_path / "l.json", [{"sample_id": "c1", "qa": QA, "conversation": TALK}]))
    assert [segment.name for segment in sample.segments] == ["session_2"] * 2 + ["session_10"] * 2
    assert [segment.role for segment in sample.segments] == ["Ann", "Bob", "Bob", "Ann"]
    assert "Session 2, 1:56 pm on 8 May, 2023\nAnn: I paint" in sample.document
    assert "Bob: See! [shares a red boat]" in sample.document
    many, year, likely, single, unsaid, no = sample.turns
    assert [text.splitlines()[-1] for text in shown(sample, 0)] == ["Ann: I paint, and I sing.", "Bob: I swam."]
    assert score("She sings, painting", many).value == pytest.approx(0.5)
    assert score("Singing and painting", many).value == pytest.approx((2 / 3 + 2 / 3) / 2, abs=0.2)
    assert score("In 2022", year).value == pytest.approx(2 / 3)
    assert likely.gold == ("Likely yes",) and single.scorer == "f1"
    assert unsaid.evidence == () and score("It was not mentioned.", unsaid).value == 1
    assert score("The mill, though it is not mentioned.", unsaid).value == 0
    assert score("No, it is not.", no).value == 1 and score("Yes", no).value == 0
    assert [turn.options["type"] for turn in sample.turns][:2] == ["multi_hop", "temporal"]


@pytest.mark.parametrize("category", [1, 2, 3, 4])
def test_the_word_and_counts_for_nothing(tmp_path: Path, category: int) -> None:
    asked = question(category, answer="Pottery and camping")
    (sample,) = samples("locomo", write(tmp_path / "l.json", [{"qa": [asked], "conversation": TALK}]))
    assert score("pottery, camping", sample.turns[0]).value == 1


def test_questions_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "l.json", [{"qa": QA, **TALK}, {"qa": QA[:1], "conversation": TALK}])
    (sample,) = samples("locomo", path, category="adversarial")
    assert len(sample.turns) == 2
    assert [len(one.turns) for one in samples("locomo", path, turns=3)] == [3, 1]
    with pytest.raises(UsageError, match="temporal"):
        samples("locomo", path, category="tempora")


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="category' is 9"):
        samples("locomo", write(tmp_path / "a.json", [{"qa": [question(9, answer="x")], "conversation": TALK}]))
    with pytest.raises(InputError, match="no sessions"):
        samples("locomo", write(tmp_path / "b.json", [{"qa": QA, "conversation": {"speaker_a": "Ann"}}]))
    with pytest.raises(InputError, match="qa 1: there is no field 'answer'"):
        samples("locomo", write(tmp_path / "c.json", [{"qa": [question(4)], "conversation": TALK}]))
