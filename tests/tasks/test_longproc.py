"""LongProc's files: rows written by hand in the published fields become a context, a query and what is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space
from farspan.tasks.sets import longproc

ROUTE = {
    "context_nl": "Oslo is a lively city. You can travel from Oslo to Bern by bus.\n"
    "Bern is a lively city. You can travel from Bern to New Ulm by ferry.\n",
    "question_nl": "Please give a route from Oslo to New Ulm.",
    "answer_nl": "From Oslo, take a bus to Bern.\nFrom Bern, take a ferry to New Ulm.",
}
BELIEF = {
    "story": "Step 0: Kim is in the den; the pen is on the den's desk.\nStep 1: Kim leaves the room he was in.",
    "question": "Where does Kim believe the pen is?",
    "solution": "Kim's belief on the pen:\n- Step 0: (initial state) {Kim location: den}\n"
    "- Step 1: (Kim location changed) {Kim location: None}\nFinal Answer: the den's desk",
}
SUMS = [
    {
        "nums": [3, 4, 5, 6],
        "target": 42,
        "demonstration": "first search\n<Solution>\n5 - 4 = 1\n6 + 1 = 7\n7 * 3 = 21\n</Solution>",
        "solution_text": "5 + 4 = 9\n9 * 6 = 54\n54 - 3 = 51",
    },
    {
        "nums": [1, 2, 3, 10],
        "target": 16,
        "demonstration": "second search\n<Solution>\n1 + 2 = 3\n3 + 3 = 6\n10 + 6 = 16\n</Solution>",
        "solution_text": "2 + 1 = 3\n3 + 3 = 6\n10 + 6 = 16",
    },
]
PROMPTS = {
    "path_traversal": "Rules {{as ever}}.\n{city_context}\nNow from {src_city} to {dst_city}!",
    "tom_tracking": "Rules.\n[STORY]\n{story}\n[QUESTION]\n{question}\nShow {{all}}.",
    "countdown": "Rules.\n{demonstration}\nNow solve.\nNumbers: {nums}\nTarget: {target}",
}


def written(folder: Path, kind: str, rows: list[dict[str, Any]], *, prompts: bool, level: str = "0.5k") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}_{level}.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    if prompts:
        lines = "".join(f"  {line}\n" for line in PROMPTS[kind].splitlines())
        (folder / "prompts.yaml").write_text("USER_PROMPT: |-\n" + lines, encoding="utf-8")
    return path


def samples(path: Path, **knobs: Any) -> list[Sample]:
    space = Space(10_000, lambda text: len(text.split()))
    return list(tasks.get("longproc", path=str(path), **knobs).samples(99, seed=0, space=space))


def test_a_route_with_the_published_prompt(tmp_path: Path) -> None:
    (sample,) = samples(written(tmp_path, "path_traversal", [ROUTE], prompts=True))
    (turn,) = sample.turns
    assert sample.document == "Rules {as ever}.\n" + ROUTE["context_nl"].strip() + "\n\n"
    assert turn.query == "Now from Oslo to New Ulm!"
    assert score(turn.answer, turn).value == 1
    assert score(turn.answer.replace("bus", "train"), turn).value == 0
    assert score(turn.answer.replace("ferry", "train"), turn).value == 0.5
    assert score(turn.answer.replace("</Route>", "From New Ulm, take a bus to Oslo.\n</Route>"), turn).value < 1


def test_beliefs_with_the_published_prompt(tmp_path: Path) -> None:
    (sample,) = samples(written(tmp_path, "tom_tracking", [BELIEF], prompts=True), kind="tom_tracking")
    (turn,) = sample.turns
    assert sample.document == "Rules.\n[STORY]\n" + BELIEF["story"] + "\n\n"
    assert turn.query == "[QUESTION]\nWhere does Kim believe the pen is?\nShow {all}."
    assert score(turn.answer, turn).value == 1
    assert score("A trace:\n" + "\n".join(turn.gold), turn).value == 1
    for line in turn.gold:
        assert score(turn.answer.replace(line, line[:-2] + "z"), turn).value < 1


def test_countdown_shows_other_rows_solved_and_takes_any_solution(tmp_path: Path) -> None:
    rows = [SUMS[0], {**SUMS[1], "nums": [1, 2, 3, 10]}]
    first, second = samples(written(tmp_path, "countdown", rows, prompts=True), kind="countdown")
    assert "second search" in first.document and "first search" not in first.document
    assert "first search" in second.document and "second search" not in second.document
    (turn,) = second.turns
    assert turn.query == "Now solve.\nNumbers: [1, 2, 3, 10]\nTarget: 16"
    assert turn.options == {"numbers": [1, 2, 3, 10], "target": 16}
    assert score(turn.answer, turn).value == 1
    assert score("<Solution>\n10 + 3 = 13\n13 + 2 = 15\n15 + 1 = 16\n</Solution>", turn).value == 1
    assert score("<Solution>\n10 + 3 = 13\n13 + 2 = 15\n15 + 2 = 17\n</Solution>", turn).value == 0


@pytest.mark.parametrize(
    ("kind", "rows"), [("path_traversal", [ROUTE]), ("tom_tracking", [BELIEF]), ("countdown", SUMS)]
)
def test_without_the_published_prompt_all_of_a_row_is_there(
    tmp_path: Path, kind: str, rows: list[dict[str, Any]]
) -> None:
    made = samples(written(tmp_path, kind, rows, prompts=False), kind=kind)
    assert len(made) == len(rows)
    for row, sample in zip(rows, made, strict=True):
        shown = sample.document + sample.turns[0].query
        for field in ("context_nl", "story", "question"):
            assert str(row.get(field, "")).strip() in shown
        assert str(row.get("nums", "")) in sample.turns[0].query
        assert "{" not in sample.document + sample.turns[0].query.replace("{<where all is>}", "")


def test_a_folder_is_searched_for_the_kind_and_level(tmp_path: Path) -> None:
    written(tmp_path / "path_traversal", "path_traversal", [ROUTE], prompts=False, level="2k")
    assert len(samples(tmp_path, level="2k")) == 1
    assert len(samples(tmp_path / "path_traversal", level="2k")) == 1
    with pytest.raises(InputError, match=r"path_traversal_8k\.json"):
        samples(tmp_path, level="8k")


@pytest.mark.parametrize(
    ("kind", "row", "amiss"),
    [
        ("path_traversal", {**ROUTE, "answer_nl": [3]}, "'answer_nl' is no text"),
        ("path_traversal", {**ROUTE, "question_nl": "Where to?"}, "names no route"),
        ("tom_tracking", {"story": "x", "question": "y"}, "no field 'solution'"),
        ("countdown", {**SUMS[0], "nums": [1, "two"]}, "'nums' is no whole number"),
        ("countdown", {**SUMS[0], "target": 4.5}, "'target' is no whole number"),
    ],
)
def test_what_is_amiss_is_told_by_file_row_and_field(
    tmp_path: Path, kind: str, row: dict[str, Any], amiss: str
) -> None:
    good = {"path_traversal": ROUTE, "tom_tracking": BELIEF, "countdown": SUMS[0]}[kind]
    path = written(tmp_path, kind, [good, row], prompts=False)
    with pytest.raises(InputError, match=amiss) as caught:
        samples(path, kind=kind, examples=0)
    assert f"{path}, row 2" in str(caught.value)


def test_other_files_and_kinds_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "path_traversal", [ROUTE], prompts=True)
    with pytest.raises(UsageError, match="no kind 'sudoku'"):
        samples(path, kind="sudoku")
    for text, amiss in (
        ("USER_PROMPT: hello", "no place for 'city_context'"),
        ("- a", "no text USER_PROMPT"),
        ("a: [", "no text USER_PROMPT"),
        ("USER_PROMPT: '{city_context} {moon}'", "asks for 'moon'"),
    ):
        (tmp_path / "prompts.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=amiss):
            samples(path)


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{", "\x00"])
def test_no_rows_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "some.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"some\.json"):
        list(longproc.read(path))
    with pytest.raises(InputError, match=r"none\.json"):
        list(longproc.read(tmp_path / "none.json"))
