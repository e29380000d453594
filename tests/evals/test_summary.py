"""The summary: hand-worked cells, the same bytes for the same answers, effective lengths, and comparisons."""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from farspan.errors import InputError
from farspan.evals import comparison, effective, statistics, summary
from tests.evals.fake_rows import BUDGET, METHODS, TASKS, failed_row, fake_row, fake_rows


def asked(scores: list[list[float]], **given: Any) -> list[dict[str, Any]]:
    """Rows with these scores, one list a context."""
    return [
        fake_row(sample=f"needle|{given.get('length', 1024)}|{number}", number=number, turn=turn, score=score, **given)
        for number, group in enumerate(scores)
        for turn, score in enumerate(group)
    ]


def test_a_cell_worked_by_hand() -> None:
    rows = asked([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    rows[1] |= {"null": True, "sourced": False}
    rows[4] |= {"truncated": True, "sourced": None}
    rows[5]["counts"] = {**rows[5]["counts"], "kept": 1000, "exact": False, "kv_bytes": {"device": 1024, "disk": 600}}
    (cell,) = summary.summarise(rows)
    assert tuple(cell) == summary.COLUMNS
    low, high = statistics.interval([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    expected = {
        "task": "needle",
        "context": "full",
        "mode": "multi_request",
        "method": "full",
        "budget": BUDGET,
        "length": 1024,
        "questions": 6,
        "contexts": 3,
        "score": 0.6667,
        "low": round(low, 4),
        "high": round(high, 4),
        "nulls": 1,
        "truncated": 1,
        "failed": 0,
        "reason": None,
        "sourced": 0.8,
        "seen": 1024,
        "kept": 1020,
        "stored": 0,
        "fetched": 0,
        "dropped": 0,
        "exact": 0.8333,
        "device_bytes": round((5 * 1024 * 1024 + 1024) / 6),
        "host_bytes": 0,
        "disk_bytes": 100,
    }
    assert cell == expected


def test_what_failed_is_counted_but_is_no_score() -> None:
    rows = [*asked([[1.0, 1.0]]), failed_row("B", sample="x", turn=0), failed_row("A", sample="x", turn=1)]
    rows += [failed_row("A", sample="y", turn=0), failed_row("A", method="topk")]
    first, second = summary.summarise(rows)
    assert (first["score"], first["questions"], first["contexts"], first["failed"]) == (1.0, 2, 1, 3)
    assert first["reason"] == "A"
    assert (second["score"], second["low"], second["questions"], second["failed"]) == (None, None, 0, 1)
    assert second["device_bytes"] is None and second["sourced"] is None


def test_a_question_that_was_asked_again_counts_once() -> None:
    rows = [failed_row("out of memory"), fake_row(score=0.0)]
    (cell,) = summary.summarise(rows)
    assert (cell["score"], cell["questions"], cell["failed"]) == (0.0, 1, 0)


def test_an_endpoint_without_an_account_is_summarised() -> None:
    (cell,) = summary.summarise([fake_row(counts={}, sourced=None)])
    assert cell["score"] == 1.0
    assert [cell[name] for name in ("seen", "exact", "host_bytes", "sourced")] == [None] * 4


def test_every_mean_is_that_of_its_rows() -> None:
    rows, scores = fake_rows(3), defaultdict(list)
    for row in rows:
        if not row["error"]:
            scores[tuple(row[name] for name in summary.KEY)].append(row["score"])
    cells = summary.summarise(rows)
    keys = [tuple(cell[name] for name in summary.KEY) for cell in cells]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)
    for key, cell in zip(keys, cells, strict=True):
        assert cell["questions"] == len(scores[key])
        if scores[key]:
            assert cell["score"] == round(sum(scores[key]) / len(scores[key]), 4)
            assert cell["low"] <= cell["score"] <= cell["high"]


def test_files_are_the_same_to_the_byte_in_any_order_and_at_any_speed(tmp_path: Path) -> None:
    rows = fake_rows(2)
    texts = []
    for run in range(2):
        folder = tmp_path / str(run)
        folder.mkdir()
        paths = summary.write(folder, summary.summarise(rows))
        assert [path.name for path in paths] == ["summary.csv", "summary.json"]
        texts.append([path.read_bytes() for path in paths])
        random.Random(1).shuffle(rows)
        rows = [{**row, "read_s": 9.9, "answer_s": 8.8} for row in rows]
    assert texts[0] == texts[1]


def test_the_files_hold_the_cells(tmp_path: Path) -> None:
    cells = summary.summarise(fake_rows(2))
    table, whole = summary.write(tmp_path, cells)
    loaded = json.loads(whole.read_text())
    assert loaded["cells"] == cells and loaded["effective_lengths"]
    with table.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [row["task"] for row in read] == [cell["task"] for cell in cells]
    assert [float(row["score"]) if row["score"] else None for row in read] == [cell["score"] for cell in cells]


def lengths(**scores: float | None) -> effective.EffectiveLength:
    """The effective length for scores by length, written k1, k2, ..."""
    cells = [
        {**fake_row(), "length": 1024 * int(name[1:]), "score": score, "questions": 100, "failed": 0}
        for name, score in scores.items()
    ]
    (found,) = effective.effective_lengths(cells)
    return found


@pytest.mark.parametrize(
    ("scores", "absolute", "relative"),
    [
        ({"k1": 0.95, "k2": 0.9, "k4": 0.86, "k8": 0.5}, "4K", "4K"),
        ({"k1": 0.95, "k2": 0.85, "k4": 0.81, "k8": 0.80}, "1K", "4K"),
        ({"k1": 0.90, "k2": 0.50, "k4": 0.95}, "1K", "1K"),
        ({"k1": 0.60, "k2": 0.55, "k4": 0.52}, "< 1K", ">= 4K"),
        ({"k1": 0.59, "k2": 0.95}, "n/a", "n/a"),
        ({"k1": 0.61, "k2": 0.52}, "< 1K", ">= 2K"),
        ({"k1": None, "k2": 0.95}, "n/a", "n/a"),
        ({"k1": 0.95, "k2": None, "k4": 0.95}, "1K", "1K"),
    ],
)
def test_effective_length(scores: dict[str, float | None], absolute: str, relative: str) -> None:
    found = lengths(**scores)
    assert (found.shown(found.absolute), found.shown(found.relative)) == (absolute, relative)


def test_what_the_easy_few_scored_is_no_length_held() -> None:
    cells = [
        {**fake_row(), "length": length, "score": 1.0, "questions": 100 - failed, "failed": failed}
        for length, failed in ((1024, 0), (2048, 5), (4096, 6))
    ]
    (found,) = effective.effective_lengths(cells)
    assert found.absolute == 2048


def test_effective_length_leaves_out_baselines_and_files() -> None:
    cells = [{**fake_row(), "length": 0}, {**fake_row(context="none"), "length": 512}]
    assert effective.effective_lengths(cells) == []


def test_methods_are_compared_on_the_questions_that_both_answered() -> None:
    full = asked([[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    other = asked([[1.0, 0.0], [1.0, 0.0]], method="topk")
    other[1] |= {"error": "lost", "score": None}
    (found,) = comparison.against([*full, *other])
    assert (found.task, found.first, found.second) == ("needle", ("full", BUDGET), ("topk", BUDGET))
    assert found.paired is not None
    assert (found.paired.pairs, found.paired.contexts, found.left_out) == (3, 2, 3)
    assert (found.paired.wins, found.paired.losses, found.paired.difference) == (1, 1, 0.0)


def test_lengths_are_compared_one_by_one() -> None:
    rows = [*asked([[1.0]] * 3), *asked([[1.0]] * 3, length=2048)]
    rows += [*asked([[1.0]] * 3, method="topk"), *asked([[0.0]] * 3, method="topk", length=2048)]
    found = comparison.against(rows, by_length=True)
    assert [(one.length, one.paired.difference if one.paired else None) for one in found] == [(1024, 0.0), (2048, -1.0)]


def test_p_values_are_corrected_for_how_many_there_are() -> None:
    found = [one for one in comparison.against(fake_rows(3)) if one.paired]
    expected = statistics.holm(one.paired.p for one in found if one.paired)
    assert [one.p for one in found] == expected


def test_without_full_attention_nothing_is_compared() -> None:
    assert comparison.against(asked([[1.0]], method="topk")) == []


def test_two_runs_are_compared_by_method() -> None:
    rows = [row for row in fake_rows(2) if row["task"] == TASKS[0]]
    better = [{**row, "score": 1.0} if row["score"] is not None else row for row in rows]
    found = comparison.compare(rows, better)
    whole = [one for one in found if one.context == "full" and one.mode == "multi_turn"]
    assert [one.first for one in whole] == [(method, BUDGET) for method in sorted(METHODS)]
    assert all(one.paired and one.paired.losses == 0 for one in found)
    table = comparison.table(found)
    assert len({len(line) for line in table}) == 1 and len(table) == len(found) + 1
    assert all(type(field) is str for line in table for field in line)


def test_two_runs_of_other_methods_and_budgets_are_compared_all_the_same() -> None:
    first = asked([[1.0], [1.0]])
    (found,) = comparison.compare(first, asked([[0.0], [1.0]], method="topk"))
    assert (found.first[0], found.second[0]) == ("full", "topk")
    both = [*asked([[1.0]], budget="8MiB"), *asked([[1.0]], method="topk", budget="8MiB")]
    (found,) = comparison.compare(first, both)
    assert found.second == ("full", "8MiB")
    assert comparison.table([found])[1][5:9] == ["1", "100.0", "100.0", "+0.0 [-100.0, +100.0]"]


def test_runs_that_share_no_question_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="share no question"):
        comparison.compare(asked([[1.0]]), asked([[1.0]], length=2048))
