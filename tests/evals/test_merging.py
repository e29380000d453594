"""Merging runs: the parts come to what one run would be, nothing is mixed that must not be, nothing is changed."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from torch.backends.cpu import get_cpu_capability

from farspan.errors import InputError, UsageError
from farspan.evals import Results, merge
from farspan.evals.config import joined
from farspan.evals.report import write
from farspan.evals.summary import summarise
from tests.evals.fake import FakeSubject
from tests.evals.test_runner import METHODS, SETTINGS, measured, without_times

TASKS = SETTINGS["tasks"]


def test_parts_come_to_what_one_run_is(tmp_path: Path) -> None:
    parts = []
    for task in TASKS:
        for method in METHODS:
            parts.append(tmp_path / f"{len(parts)}")
            measured(parts[-1], tasks=(task,), methods=(method,), baselines=method == "full")
    before = [(part / "rows.jsonl").read_bytes() for part in parts]
    merged = merge(parts, tmp_path / "all")
    _, whole = measured(tmp_path / "whole")
    assert without_times(merged) == without_times(whole)
    assert summarise(merged.rows) == summarise(whole.rows)
    assert merged.config["plan"] == whole.config["plan"]
    assert [part["folder"] for part in merged.config["runs"]] == [str(part) for part in parts]
    assert [(part / "rows.jsonl").read_bytes() for part in parts] == before


def test_a_run_goes_on_where_the_parts_ended(tmp_path: Path) -> None:
    first, _ = measured(tmp_path / "a", methods=METHODS[:1])
    second, _ = measured(tmp_path / "b", methods=METHODS[1:], baselines=False)
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    went_on, results = measured(tmp_path / "all")
    assert (went_on.answered, went_on.kept) == (0, first.answered + second.answered)
    assert [Path(run["folder"]).name for run in results.config["runs"]] == ["a", "b", "all"]


def test_the_last_run_that_answered_a_context_counts(tmp_path: Path) -> None:
    one = {"tasks": ("needle(turns=3)",), "methods": ("full",), "baselines": False}
    measured(tmp_path / "old", FakeSubject(said="old"), **one)
    measured(tmp_path / "new", FakeSubject(said="new"), **{**one, "questions": 3})
    measured(tmp_path / "broken", FakeSubject(breaks="no room"), **one)
    folders = [tmp_path / name for name in ("old", "new", "broken")]
    replies = [(row["number"], row["reply"]) for row in merge(folders, tmp_path / "all")]
    assert {reply for number, reply in replies if number == 0} == {"new"}
    assert {reply for number, reply in replies if number > 0} == {"old"}
    again = merge([tmp_path / "broken", tmp_path / "old"], tmp_path / "again")
    assert not any(row["error"] for row in again)
    assert [run["folder"] for run in merge([tmp_path / "all"], tmp_path / "flat").config["runs"]] == list(
        map(str, folders)
    )


def test_modes_that_were_asked_apart_come_together(tmp_path: Path) -> None:
    one = {"tasks": ("needle(turns=3)",), "baselines": False, "lengths": (300,)}
    both, converse = ("multi_request", "multi_turn"), ("multi_turn",)
    measured(tmp_path / "both", FakeSubject(said="old"), modes=both, **one)
    measured(tmp_path / "converse", FakeSubject(said="new"), modes=converse, **one)
    merged = merge([tmp_path / "both", tmp_path / "converse"], tmp_path / "all")
    assert {(row["mode"], row["reply"]) for row in merged} == {("multi_request", "old"), ("multi_turn", "new")}
    assert len(merged.rows) == len(Results.open(tmp_path / "both").rows)


def test_a_method_is_left_out_only_where_no_run_measured_it() -> None:
    plan = {"tasks": ["needle"], "methods": ["full"], "lengths": [200], "modes": ["multi_request"]}
    small = {"identity": {"seed": 0}, "plan": plan, "left_out": {"topk": "needs 8 MiB", "pi": "needs 16 MiB"}}
    large = {"identity": {"seed": 0}, "plan": {**plan, "methods": ["topk"]}, "left_out": {}}
    merged = joined([("small", small), ("large", large)])
    assert merged["plan"]["methods"] == ["full", "topk"] and list(merged["left_out"]) == ["pi"]


def test_what_differs_is_named_and_nothing_written(tmp_path: Path) -> None:
    measured(tmp_path / "a", questions=1)
    measured(tmp_path / "b", questions=1, seed=1)
    measured(tmp_path / "c", FakeSubject("another"), questions=1)
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"seed 0, .*b with 1"):
        merge([tmp_path / "a", tmp_path / "b"], out)
    with pytest.raises(UsageError, match="model 'fake'"):
        merge([tmp_path / "a", tmp_path / "c"], out)
    with pytest.raises(InputError, match="no results"):
        merge([tmp_path / "a", tmp_path / "none"], out)
    with pytest.raises(UsageError, match="results already"):
        merge([tmp_path / "a"], tmp_path / "b")
    assert not out.exists()


def test_questions_that_changed_under_their_name_are_refused(tmp_path: Path) -> None:
    for name, methods in (("a", ("full",)), ("b", ("full", "streaming"))):
        measured(tmp_path / name, questions=1, methods=methods)
    rows = tmp_path / "b" / "rows.jsonl"
    hashes = {row["prompt_sha"] for row in Results.open(tmp_path / "a")}
    text = rows.read_text()
    for known in hashes:
        text = text.replace(known, "0" * 32)
    rows.write_text(text)
    with pytest.raises(UsageError, match="other questions"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")


def test_packed_rows_are_read_and_unpacked_by_a_run_that_adds(tmp_path: Path) -> None:
    first, _ = measured(tmp_path, questions=3)
    packed, plain = tmp_path / "rows.jsonl.xz", tmp_path / "rows.jsonl"
    before = Results.open(tmp_path).rows
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    plain.unlink()
    assert Results.open(tmp_path).rows == before and not plain.exists()
    second, _ = measured(tmp_path, questions=6)
    assert second.kept == first.answered and plain.exists()
    plain.unlink()
    packed.write_bytes(packed.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"xz is damaged"):
        Results.open(tmp_path)


def test_the_report_names_every_run(tmp_path: Path) -> None:
    for name in "ab":
        measured(tmp_path / name, questions=1, methods=("full",))
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    write(merged.folder, merged.rows, merged.config)
    page = (merged.folder / "report.md").read_text()
    assert f"runs.2.folder: {tmp_path / 'b'}" in page and "unnamed machine" not in page
    assert f"runs.1.machine.cpu: {get_cpu_capability()}" in page
