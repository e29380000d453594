"""LongMemEval: messages in the order of time, with what holds the answer marked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, samples, shown


def said(role: str, content: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content} | fields


def row(
    name: str = "q1", kind: str = "single-session-user", answer: Any = "a blue bike", **fields: Any
) -> dict[str, Any]:
    late = [said("user", "I bought a blue bike.", has_answer=True), said("assistant", "Well done.")]
    early = [said("user", PROSE), said("assistant", "I see.")]
    base = {"question_id": name, "question_type": kind, "question": "What did I buy?", "answer": answer}
    dated = {
        "question_date": "2023/06/01 (Thu) 10:00",
        "haystack_dates": ["2023/05/30 (Tue) 09:00", "2023/05/20 (Sat) 02:21"],
    }
    return base | dated | {"haystack_session_ids": ["late", "early"], "haystack_sessions": [late, early]} | fields


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return str(path)


def test_sessions_are_put_in_the_order_of_time(tmp_path: Path) -> None:
    (sample,) = samples("longmemeval", write(tmp_path / "s.json", [row()]))
    assert [segment.name for segment in sample.segments] == ["early", "early", "late", "late"]
    assert [segment.role for segment in sample.segments] == ["user", "assistant"] * 2
    assert sample.segments[2].time == "2023/05/30 (Tue) 09:00"
    assert sample.document.index("Session of 2023/05/20") < sample.document.index("Session of 2023/05/30")
    assert shown(sample) == ["Session of 2023/05/30 (Tue) 09:00\nUser: I bought a blue bike."]
    assert "Today is 2023/06/01" in sample.turns[0].query
    assert sample.meta == {"dataset": "longmemeval", "id": "q1", "type": "single-session-user", "sessions": 2}


def test_without_marks_the_sessions_named_are_evidence(tmp_path: Path) -> None:
    plain = [[said("user", PROSE)], [said("user", "A bike."), said("assistant", "Fine.")]]
    given = row(haystack_sessions=plain, answer_session_ids=["early"])
    (sample,) = samples("longmemeval", write(tmp_path / "s.json", [given]))
    assert [text.rpartition("\n")[2] for text in shown(sample)] == ["User: A bike.", "Assistant: Fine."]


def test_types_and_rules(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.json",
        [
            row("a", "temporal-reasoning", "7 days. 8 days (including the last day) is also acceptable."),
            row("b", "knowledge-update", 4),
            row("c", "multi-session", "You rode it to the lake, to the mill and at last to the old harbour"),
            row("d_abs", "single-session-user", "You did not mention a car."),
            row("e", "single-session-preference", "The user would like something on bikes."),
        ],
    )
    days, number, long, unknown = samples("longmemeval", path)
    assert score("It took 8 days", days.turns[0]).value == 1 and score("9 days", days.turns[0]).value == 0
    assert score("4.", number.turns[0]).value == 1 and score("14", number.turns[0]).value == 0
    assert long.turns[0].scorer == "f1" and unknown.turns[0].scorer == "abstains" and shown(unknown) == []
    assert score("You never mentioned that.", unknown.turns[0]).value == 1
    assert score("A red car.", unknown.turns[0]).value == 0
    assert samples("longmemeval", path, question_type="abstention") == [unknown]
    (liked,) = samples("longmemeval", path, question_type="single-session-preference")
    assert liked.turns[0].scorer == "f1"


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 sessions have 1 dates"):
        samples("longmemeval", write(tmp_path / "a.json", [row(haystack_dates=["2023"])]))
    with pytest.raises(InputError, match="there is no field 'content'"):
        samples("longmemeval", write(tmp_path / "b.json", [row(haystack_sessions=[[{"role": "user"}], []])]))
    with pytest.raises(UsageError, match="multi-session"):
        samples("longmemeval", write(tmp_path / "c.json", [row()]), question_type="multi")
