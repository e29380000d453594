"""LooGLE: questions, gaps and summaries, in rows of whole documents and in rows of single questions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, lines, samples, shown

TEXT = f"The red boat left at noon. {PROSE} It came back at night."


def row(pairs: Any, **fields: Any) -> dict[str, Any]:
    return {"input": TEXT, "title": "Boats", "qa_pairs": pairs, "output": "none"} | fields


PAIRS = [
    {"Q": "When did it leave?", "A": "At noon.", "S": ["The red boat left at noon.", "Not in it.", ""]},
    {"Q": "Order these:\n1. a\n2. b\n3. c", "A": "2,1,3", "type": "timeline_reorder", "S": ["It came back at night."]},
    {
        "Q": "<mask-0> sold <mask-1>.",
        "A": {"<mask-0>": "Ann O'Hara", "<mask-1>": "Boats, Inc"},
        "S": "It came back at night.",
    },
]


@pytest.mark.parametrize("written", [repr, json.dumps, list])
def test_a_document_is_one_sample(tmp_path: Path, written: Any) -> None:
    (sample,) = samples("loogle", lines(tmp_path / "longdep_qa.jsonl", [row(written(PAIRS))]))
    assert sample.document.strip() == TEXT and sample.meta == {"dataset": "longdep_qa", "title": "Boats"}
    when, order, gaps = sample.turns
    assert shown(sample) == ["The red boat left at noon."]
    assert shown(sample, 1) == shown(sample, 2) == ["It came back at night."]
    assert score("noon", when).value == pytest.approx(2 / 3)
    assert score("2, 1, 3", order).value == 1 and score("1, 2, 3", order).value == 0
    assert [turn.options["type"] for turn in sample.turns] == ["question", "timeline_reorder", "cloze"]
    assert score("<mask-0>: Ann O'Hara\n<mask-1>: The mill", gaps).value == 0.5
    assert score("{'<mask-1>': 'Boats, Inc', '<mask-0>': \"Ann O'Hara\"}", gaps).value == 1


def test_summaries(tmp_path: Path) -> None:
    given = row("none", output="A boat leaves and comes back.", question="none")
    (sample,) = samples("loogle", lines(tmp_path / "longdep_summarization.jsonl", [given]))
    (turn,) = sample.turns
    assert turn.scorer == "rouge_l" and turn.answer == "A boat leaves and comes back." and turn.max_new_tokens == 500


def test_rows_of_one_question_are_put_together(tmp_path: Path) -> None:
    flat = [
        {"context": text, "question": f"Question {n}?", "answer": f"word {n}", "evidence": ["It came back at night."]}
        for text, n in [(TEXT, 1), (TEXT, 2), ("Other. " + TEXT, 3)]
    ]
    path = lines(tmp_path / "shortdep_qa.jsonl", flat)
    first, second = samples("loogle", path)
    assert [turn.answer for turn in first.turns] == ["word 1", "word 2"] and second.turns[0].answer == "word 3"
    assert [len(one.turns) for one in samples("loogle", path, turns=1)] == [1, 1]
    assert len(samples("loogle", str(tmp_path), dataset="shortdep_qa")) == 2


@pytest.mark.parametrize("pairs", ["[{'Q': open('x')}]", "[1, 2", "[]", "['a']", "(" * 5000])
def test_what_is_amiss_is_named(tmp_path: Path, pairs: str) -> None:
    with pytest.raises(InputError, match=r"longdep_qa\.jsonl, row 1: field 'qa_pairs'"):
        samples("loogle", lines(tmp_path / "longdep_qa.jsonl", [row(pairs)]))
