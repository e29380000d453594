"""L-Eval: every data set's questions on a document, by the rule of that data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, lines, samples


def row(evaluation: str, *pairs: tuple[str, str]) -> dict[str, Any]:
    asked, answers = [question for question, _ in pairs], [answer for _, answer in pairs]
    return {"input": PROSE, "instructions": asked, "outputs": answers, "source": "made", "evaluation": evaluation}


def test_exams(tmp_path: Path) -> None:
    lines(tmp_path / "coursera.jsonl", [row("exam", ("Which?\nA. x\nB. y\nC. z\nD. w", "BD"), ("Which?", "A"))])
    lines(tmp_path / "quality.jsonl", [row("exam", ("Why?\n (A) x \n (B) y", "(B) y"))])
    lines(tmp_path / "tpo.jsonl", [row("exam", ("Why?\nA. x\nB. y", "A"))])
    lines(tmp_path / "gsm100.jsonl", [row("exam", ("Question: How much?\nLet's think step by step", "18"))])
    lines(tmp_path / "codeU.jsonl", [row("exam", ("What is the final output?", "[6 15]"))])
    lines(tmp_path / "sci_fi.jsonl", [row("exam", ("Ships fly, True or False? Say so.", "False [fact: True]"))])
    lines(tmp_path / "topic_retrieval_longchat.jsonl", [row("exam", ("The first topic?", "The role of art"))])
    code, several, sums, quality, truth, topic, tpo = samples("leval", str(tmp_path))
    assert score("B and D", several.turns[0]).value == 1 and score("B", several.turns[0]).value == 0.25
    assert score("ABD", several.turns[0]).value == 0
    assert score("(B) y", quality.turns[0]).value == 1 and tpo.turns[0].answer == "A"
    assert score("2 + 16 = 18. The answer is 18", sums.turns[0]).value == 1
    assert score("So the final output is [6, 15].", code.turns[0]).value == 1
    assert score("The final output is 21.", code.turns[0]).value == 0
    assert score("False.", truth.turns[0]).value == 1 and score("True", truth.turns[0]).value == 0
    assert score("True or False", truth.turns[0]).value == 0
    assert truth.turns[0].options["fact"] == "True"
    assert score("It was the role of art.", topic.turns[0]).value == 1
    assert sums.meta == {"dataset": "gsm100", "source": "made", "evaluation": "exam"}


def test_open_questions(tmp_path: Path) -> None:
    pairs = tuple((f"Question {n}?", f"the {n}th of the red boats") for n in range(10))
    path = lines(tmp_path / "financial_qa.jsonl", [row("f1", *pairs)])
    (sample,) = samples("leval", path)
    assert [turn.scorer for turn in sample.turns] == ["f1"] * 10
    (some,) = samples("leval", path, turns=3)
    assert [turn.answer[4] for turn in some.turns] == ["0", "3", "6"]
    lines(tmp_path / "patent_summ.jsonl", [row("rouge", ("Sum up.", "A brush for paws."))])
    lines(tmp_path / "paper_assistant.jsonl", [row("LLM", ("Review.", "A sound paper."))])
    assert [one.turns[0].scorer for one in samples("leval", str(tmp_path))] == ["f1", "rouge_l", "rouge_l"]


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    short = row("f1", ("a?", "b")) | {"outputs": ["b", "c"]}
    with pytest.raises(InputError, match="1 instructions have 2 outputs"):
        samples("leval", lines(tmp_path / "a" / "financial_qa.jsonl", [short]))
    with pytest.raises(InputError, match="begins with none of the letters"):
        samples("leval", lines(tmp_path / "b" / "quality.jsonl", [row("exam", ("a?", "Because"))]))
    with pytest.raises(InputError, match="not of the form"):
        samples("leval", lines(tmp_path / "c" / "sci_fi.jsonl", [row("exam", ("a?", "True"))]))
    with pytest.raises(UsageError, match="quality"):
        samples("leval", str(tmp_path), dataset="qualty")
