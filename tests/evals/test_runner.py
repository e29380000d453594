"""The runner: the same samples for every method, contexts read before their questions, nothing lost, nothing mixed."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.errors import InputError, UsageError
from farspan.evals import Plan, Results, run
from farspan.evals.config import describe
from farspan.evals.rows import rescored
from farspan.evals.runner import Outcome
from tests.evals.fake import FakeSubject

METHODS = ("full", "streaming")
SETTINGS: dict[str, Any] = {
    "tasks": ("needle(turns=3)", "quotes"),
    "methods": METHODS,
    "lengths": (400, 200),
    "questions": 6,
    "turns": 2,
}


def measured(folder: Path, subject: FakeSubject | None = None, **changes: Any) -> tuple[Outcome, Results]:
    plan = Plan(**{**SETTINGS, **changes}).checked()
    subject = subject or FakeSubject()
    with Results.begin(folder, describe(plan, subject)) as results:
        return run(plan, subject, results), results


def test_every_method_gets_the_same_questions(tmp_path: Path) -> None:
    outcome, results = measured(tmp_path)
    asked: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
    for row in results.rows:
        if row["context"] == "full":
            asked[row["method"]].add((row["sample"], row["turn"], row["query"], row["answer"], row["prompt_sha"]))
    plain = [row["method"] for row in results.rows]
    assert len(asked) == 2 and len({frozenset(each) for each in asked.values()}) == 1
    assert outcome.answered == len(plain) and outcome.failed == outcome.kept == 0
    assert all(row["evidence"] and 0 <= row["depth"] <= 1 for row in results)
    for task, length in {(row["task"], row["length"]) for row in results}:
        rows = [row for row in results if (row["task"], row["length"], row["context"]) == (task, length, "full")]
        assert len(rows) >= 2 * SETTINGS["questions"]
        assert len({row["number"] for row in rows}) >= 2


def test_the_context_is_read_once_before_its_questions(tmp_path: Path) -> None:
    subject = FakeSubject()
    measured(tmp_path, subject, tasks=("needle(turns=3)",), lengths=(300,), modes=("multi_request", "multi_turn"))
    whole = [number for number, entry in enumerate(subject.log) if entry[0] == "read" and len(entry[2].split()) > 100]
    assert len(whole) == 2 * len(METHODS)
    for number in whole:
        kinds = [entry[0] for entry in subject.log[number + 1 : number + 8]]
        assert kinds == ["ask"] * 3 + ["converse"] + ["ask"] * 3
        for entry in subject.log[number + 1 : number + 4]:
            assert entry[1] not in subject.log[number][2]


def test_baselines_are_asked_at_the_shortest_length_alone(tmp_path: Path) -> None:
    _, results = measured(tmp_path)
    for context, score in (("none", 0.0), ("evidence", 1.0)):
        rows = [row for row in results if row["context"] == context]
        assert {row["length"] for row in rows} == {200}
        assert {row["method"] for row in rows} == {"full"}
        assert {row["score"] for row in rows if row["family"] == "needle"} == {score}


def test_a_method_that_sees_half_scores_half(tmp_path: Path) -> None:
    _, results = measured(tmp_path, questions=90, tasks=("needle(turns=3)",))
    scores: dict[str, list[float]] = defaultdict(list)
    for row in results:
        if row["context"] == "full":
            scores[row["method"]].append(row["score"])
            assert row["sourced"] is False
    assert set(scores["full"]) == {1.0}
    assert 0.35 < sum(scores["streaming"]) / len(scores["streaming"]) < 0.65


def test_what_fails_is_a_row_that_says_why_and_is_tried_again(tmp_path: Path) -> None:
    outcome, results = measured(tmp_path, methods=("full", "lm_infinite"))
    failed = [row for row in results if row["error"]]
    assert outcome.failed == len(failed) > 0
    assert {row["method"] for row in failed} == {row["method"] for row in results} - {"full"}
    assert all("8MiB are too few" in row["error"] and row["score"] is None for row in failed)
    again, _ = measured(tmp_path, methods=("full", "lm_infinite"))
    assert (again.answered, again.failed) == (0, outcome.failed)
    assert again.kept == outcome.answered


def scbench(folder: Path, contexts: int = 3) -> str:
    rows = [
        {
            "id": number,
            "context": f"The cat is {number}2345 and the dog is {number}9887. " * 9,
            "multi_turns": [
                {"input": f"Where is the {animal}?", "answer": f"{number}{digits}"}
                for animal, digits in (("cat", 2345), ("dog", 9887))
            ],
        }
        for number in range(contexts)
    ]
    path = folder / "scbench_kv.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"scbench(path={str(path)!r})"


@pytest.mark.parametrize("first", ["multi_request", "multi_turn"])
def test_a_mode_that_was_not_asked_is_asked_alone(tmp_path: Path, first: str) -> None:
    both = ("multi_request", "multi_turn")
    one: dict[str, Any] = {"tasks": (scbench(tmp_path),), "methods": ("full",), "baselines": False}
    began, _ = measured(tmp_path / "run", modes=(first,), **one)
    went_on, results = measured(tmp_path / "run", modes=both, **one)
    assert began.answered == went_on.answered == went_on.kept == 6
    assert without_times(results) == without_times(measured(tmp_path / "whole", modes=both, **one)[1])
    again, _ = measured(tmp_path / "run", modes=both, **one)
    assert (again.answered, again.kept) == (0, 12)


def test_what_was_answered_stays_when_its_file_is_damaged(tmp_path: Path) -> None:
    one: dict[str, Any] = {"tasks": (scbench(tmp_path),), "methods": ("full",), "baselines": False}
    measured(tmp_path / "run", **one)
    before = Results.open(tmp_path / "run").rows
    path = tmp_path / "scbench_kv.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace('{"id": 1', '{"id'))
    damaged, results = measured(tmp_path / "run", **one)
    assert damaged.failed == 1 and damaged.answered == 0
    assert results.rows == before
    path.write_text(whole)
    mended, _ = measured(tmp_path / "run", **one)
    assert (mended.failed, mended.answered, mended.kept) == (0, 0, 6)


def test_a_length_that_is_too_short_fails_alone(tmp_path: Path) -> None:
    outcome, results = measured(tmp_path, tasks=("needle(turns=3)",), lengths=(20, 300))
    short = [row for row in results if row["length"] == 20]
    assert outcome.failed == len(short) == 3 * len(METHODS)  # it gives up after three
    assert all("TooShort" in row["error"] for row in short)
    assert outcome.answered > 0


def test_whatever_goes_wrong_is_a_row(tmp_path: Path) -> None:
    subject = FakeSubject(breaks="needle")
    outcome, results = measured(tmp_path, subject, tasks=("needle(keys_asked=0)", "needle(turns=3)", "quotes"))
    assert outcome.failed and outcome.answered
    reasons = {row["error"].partition(":")[0] for row in results if row["error"]}
    assert reasons == {"ValueError", "ZeroDivisionError"}
    assert {row["family"] for row in results if not row["error"]} == {"quotes"}


def test_a_reply_of_broken_characters_is_kept(tmp_path: Path) -> None:
    _, results = measured(tmp_path, FakeSubject(said="\ud800 no"), tasks=("needle(turns=3)",))
    assert {row["reply"] for row in Results.open(tmp_path)} == {"\ud800 no"}
    assert {row["score"] for row in results} == {0.0}


def test_questions_that_changed_under_their_name_are_refused(tmp_path: Path) -> None:
    _, results = measured(tmp_path, questions=1)
    with Results.change(tmp_path) as changed:
        changed.replace([{**row, "prompt_sha": "other"} for row in results.rows])
    with pytest.raises(UsageError, match="other questions"):
        measured(tmp_path, questions=1)
    measured(tmp_path / "one", questions=2)
    with pytest.raises(UsageError, match="conversation"):
        measured(tmp_path / "one", questions=2, modes=("multi_request", "multi_turn"))


def test_stop_below_leaves_longer_lengths_out_and_says_so(tmp_path: Path) -> None:
    outcome, results = measured(tmp_path, tasks=("needle(turns=3)",), stop_below=0.9, questions=30)
    assert outcome.left_out == ["needle(turns=3) at 400 tokens: streaming"]
    assert {row["method"] for row in results if row["length"] == 400} == {"full"}


def test_more_of_the_same_is_added_to_what_is_there(tmp_path: Path) -> None:
    first, _ = measured(tmp_path, questions=3)
    second, results = measured(tmp_path, questions=6, methods=(*METHODS, "topk"))
    assert second.kept == first.answered
    once, whole = measured(tmp_path / "once", questions=6, methods=(*METHODS, "topk"))
    assert without_times(results) == without_times(whole)
    assert once.answered == first.answered + second.answered
    assert results.config["plan"] == whole.config["plan"]
    measured(tmp_path, questions=6, methods=("topk",))
    assert results.config["plan"]["methods"] == [*METHODS, "topk"] and "runs" not in results.config


@pytest.mark.parametrize(
    ("changes", "named"), [({"seed": 1}, "seed"), ({"slack": 3}, "slack"), ({"filler_name": "a book"}, "filler")]
)
def test_another_run_is_refused_and_what_differs_named(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    measured(tmp_path, questions=1)
    with pytest.raises(UsageError, match=named):
        measured(tmp_path, **changes)
    with pytest.raises(UsageError, match="model"):
        measured(tmp_path, FakeSubject("another"))


def test_a_run_that_answered_nothing_binds_nothing(tmp_path: Path) -> None:
    failed, _ = measured(tmp_path, lengths=(20,), tasks=("needle(turns=3)",))
    assert failed.failed and not failed.answered
    _, results = measured(tmp_path, lengths=(30,), tasks=("needle(turns=3)",))
    assert {row["length"] for row in results} == {20, 30}
    other, results = measured(tmp_path, lengths=(300,), tasks=("needle(turns=3)",), seed=1)
    assert other.answered == len(results.rows) == len(Results.open(tmp_path).rows)
    with pytest.raises(UsageError, match="seed"):
        measured(tmp_path, seed=2)


def test_two_processes_do_not_write_to_one_folder(tmp_path: Path) -> None:
    measured(tmp_path, questions=1)
    config = (tmp_path / "config.json").read_bytes()
    with Results.change(tmp_path):
        with pytest.raises(UsageError, match="another run"):
            Results.change(tmp_path)
        with pytest.raises(UsageError, match="another run"):
            measured(tmp_path, questions=3)
        assert (tmp_path / "config.json").read_bytes() == config
        assert list(Results.open(tmp_path))
    Results.change(tmp_path).close()


def test_reading_a_folder_leaves_it_as_it_is(tmp_path: Path) -> None:
    _, results = measured(tmp_path, questions=1)
    data = (tmp_path / "rows.jsonl").read_bytes()
    (tmp_path / "rows.jsonl").write_bytes(data[:-20])
    assert len(Results.open(tmp_path).rows) == len(results.rows) - 1
    assert (tmp_path / "rows.jsonl").read_bytes() == data[:-20]
    Results.change(tmp_path).close()
    assert (tmp_path / "rows.jsonl").read_bytes().endswith(b"}\n")


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        measured(tmp_path)
    with pytest.raises(InputError, match="no results"):
        Results.open(tmp_path)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    measured(tmp_path, questions=1)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    (tmp_path / "rows.jsonl").write_text("\n".join([lines[0], "{}", *lines[1:], ""]))
    with pytest.raises(InputError, match=r"line 2, lacks answer"):
        Results.open(tmp_path)


@cache
def whole() -> tuple[bytes, list[dict[str, Any]]]:
    """The rows of a run that nothing broke off, as they lie on the disk and without their times."""
    with tempfile.TemporaryDirectory() as folder:
        _, results = measured(Path(folder))
        return (Path(folder) / "rows.jsonl").read_bytes(), without_times(results)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 1))
def test_cut_off_anywhere_it_comes_to_the_same(share: float) -> None:
    data, rows = whole()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Results.begin(folder, describe(Plan(**SETTINGS).checked(), FakeSubject())).close()
        (folder / "rows.jsonl").write_bytes(data[: int(share * len(data))])
        _, results = measured(folder)
        assert without_times(results) == rows
        assert without_times(Results.open(folder)) == rows


def test_rows_are_scored_again_without_a_model(tmp_path: Path) -> None:
    _, results = measured(tmp_path)
    before = without_times(results)
    spoilt = [{**row, "score": 0.5, "parsed": "?"} for row in results.rows]
    with Results.change(tmp_path) as changed:
        changed.replace(rescored(spoilt))
    assert without_times(Results.open(tmp_path)) == before
    assert {row["score"] for row in results} == {0.0, 1.0}


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": ("needel",)},
        {"tasks": ()},
        {"methods": ("nothing_such",)},
        {"modes": ("together",)},
        {"history": "none"},
        {"questions": 0},
        {"lengths": (0,)},
    ],
)
def test_what_cannot_be_measured_is_refused_first(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Plan(**{**SETTINGS, **changes}).checked()


def without_times(results: Results) -> list[dict[str, Any]]:
    """The rows as they must come out every time."""
    rows = json.loads(json.dumps(results.rows))
    return [{name: value for name, value in row.items() if not name.endswith("_s")} for row in rows]
