"""LongBench and LongBench v2: every data set is asked and scored by its own rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from tests.tasks.sets.reading import PROSE, lines, samples, shown


def row(dataset: str, **fields: Any) -> dict[str, Any]:
    base = {"input": "Who left?", "context": PROSE, "answers": ["the grey ship", "a ship"], "length": 900}
    return base | {"dataset": dataset, "language": "en", "all_classes": None, "_id": "x1"} | fields


def test_questions_are_scored_by_the_nearest_answer(tmp_path: Path) -> None:
    path = lines(tmp_path / "hotpotqa.jsonl", [row("hotpotqa"), row("hotpotqa", input="Why?")])
    first, second = samples("longbench", path)
    assert first.document.strip() == PROSE
    assert "Who left?" in first.turns[0].query and "Why?" in second.turns[0].query
    assert score("The ship.", first.turns[0]).value == 1
    assert score("green ship sank", first.turns[0]).value == pytest.approx(0.5)
    assert first.meta == {"dataset": "hotpotqa", "words": 900, "id": "x1"}
    assert first.turns[0].max_new_tokens == 32


def test_classes_share_the_point(tmp_path: Path) -> None:
    classes = ["Food", "Organ of body", "Body", "City"]
    given = row("trec", answers=["Organ of body"], all_classes=classes, input="Question: What is a liver?\nType:")
    (sample,) = samples("longbench", lines(tmp_path / "trec.jsonl", [given]))
    turn = sample.turns[0]
    assert turn.query.endswith("Type:") and "\nQuestion:" in turn.stop
    assert score("Organ of body, or City", turn).value == 0.5
    assert score("City\nOrgan of body", turn).value == 0


def test_the_paragraph_asked_for_is_evidence(tmp_path: Path) -> None:
    context = "\n\n".join(f"Paragraph {n}: The {n}th tale is of {n * 7} geese. {PROSE}" for n in range(1, 13))
    given = row("passage_retrieval_en", context=context, answers=["Paragraph 1"], input="Seven geese.")
    (sample,) = samples("longbench", lines(tmp_path / "passage_retrieval_en.jsonl", [given]))
    assert shown(sample) == [f"Paragraph 1: The 1th tale is of 7 geese. {PROSE}"]
    assert score("Paragraph 12", sample.turns[0]).value == 0
    assert score("Paragraph 1 or 12", sample.turns[0]).value == 0.5


def test_code_is_compared_by_its_first_line(tmp_path: Path) -> None:
    given = row("lcc", context="x = 1\n" * 90, input="", answers=["return x + y"])
    (sample,) = samples("longbench", lines(tmp_path / "lcc.jsonl", [given]))
    assert score("```python\n# the sum\nreturn x + y\nreturn z\n```", sample.turns[0]).value == 1
    assert score("return x - y", sample.turns[0]).value == pytest.approx(11 / 12)


@pytest.mark.parametrize("name", ["triviaqa", "samsum"])
def test_only_the_first_line_of_a_few_shot_reply_counts(tmp_path: Path, name: str) -> None:
    (sample,) = samples("longbench", lines(tmp_path / f"{name}.jsonl", [row(name, answers=["Rome"])]))
    assert score("Rome\nPassage: of other things", sample.turns[0]).value == 1
    assert score("Paris\nRome", sample.turns[0]).value == 0


@pytest.mark.parametrize("name", ["gov_report", "qmsum", "multi_news", "samsum", "narrativeqa", "qasper", "musique"])
@pytest.mark.parametrize("suffix", ["", "_e"])
def test_a_folder_holds_many(tmp_path: Path, name: str, suffix: str) -> None:
    lines(tmp_path / f"{name}{suffix}.jsonl", [row(name + suffix)])
    lines(tmp_path / "dureader.jsonl", [row("dureader")])
    assert [one.meta["dataset"] for one in samples("longbench", str(tmp_path))] == [name]
    assert len(samples("longbench", str(tmp_path), dataset=name + suffix)) == 1


@pytest.mark.parametrize(("name", "gold"), [("passage_count", "17"), ("triviaqa", "Rome"), ("2wikimqa", "no")])
def test_other_sets(tmp_path: Path, name: str, gold: str) -> None:
    (sample,) = samples("longbench", lines(tmp_path / f"{name}.jsonl", [row(name, answers=[gold])]))
    assert score("17 of 30", sample.turns[0]).value == (0.5 if name == "passage_count" else 0)


def test_what_is_amiss_is_named(tmp_path: Path) -> None:
    broken = row("hotpotqa")
    del broken["answers"]
    path = lines(tmp_path / "hotpotqa.jsonl", [row("hotpotqa"), broken])
    with pytest.raises(InputError, match=r"hotpotqa\.jsonl, row 2: there is no field 'answers'"):
        samples("longbench", path)
    with pytest.raises(UsageError, match="hotpotqa"):
        samples("longbench", path, dataset="hotpot")


def v2(**fields: Any) -> dict[str, Any]:
    base = {"_id": "a", "domain": "Code", "sub_domain": "Repos", "difficulty": "hard", "length": "short"}
    choices = {f"choice_{letter}": f"The {letter}th port" for letter in "ABCD"}
    return base | choices | {"question": "Where did it go?", "answer": "C", "context": PROSE} | fields


def test_v2_is_multiple_choice(tmp_path: Path) -> None:
    path = lines(tmp_path / "v2.jsonl", [v2(), v2(difficulty="easy", answer="A", length="long")])
    first, second = samples("longbench_v2", path)
    assert "C. The Cth port" in first.turns[0].query
    assert score("The correct answer is (C).", first.turns[0]).value == 1
    assert score("The correct answer is (A).", first.turns[0]).value == 0
    assert first.meta["domain"] == "Code" and first.meta["difficulty"] == "hard"
    assert samples("longbench_v2", path, difficulty="easy") == [second]
    assert samples("longbench_v2", path, domain="Code", length="short") == [first]
    with pytest.raises(InputError, match="none of the letters"):
        samples("longbench_v2", lines(tmp_path / "b.jsonl", [v2(answer="E")]))
