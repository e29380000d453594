"""RULER's files: needles, variables, frequent words and questions, as its own scripts have written them.

A row has the fields `input`, `outputs` and `answer_prefix`; or, as published for KV compression, `context`,
`question`, `answer`, `answer_prefix` and `task`, with all tasks of a length in one file or configuration. The input is
split where its question begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from farspan.errors import InputError
from farspan.tasks.files.rows import Row, holds, one_of, rows, text, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="verbatim",
    version=2,
    source="RULER (Hsieh et al. 2024); answers are found as whole words; the files are the user's",
    modes=("multi_request",),
)
_NEEDLE = re.compile(r"special magic \w+ for [^\n]{1,200}? (?:is|are): (\S+?)\.(?=\s|$)")
_QUESTIONS = (
    "What are all the special magic",
    "What is the special magic",
    "Answer the question based on the given documents",
    "Question:",
)
_ROOM: Mapping[str, int] = {"magic": 128, "variables": 30, "10 most common": 120, "most frequently appeared": 50}
_TASKS = (
    *(f"niah_{kind}" for kind in ("single_1", "single_2", "single_3", "multikey_1", "multikey_2", "multikey_3")),
    *("niah_multivalue", "niah_multiquery", "vt", "cwe", "fwe", "qa_1", "qa_2"),
)
_DOCUMENTS, _DECOYS = "given documents", 24


def read(path: str, *, task: str = "", part: str | int = "") -> Iterator[Sample]:
    """The samples of a file, of the files of a folder, or of a set on the Hub.

    task: one of them, such as `niah_multikey_2`, which rows name in their field `task`, or else their file, folder or
    configuration; a file that tells no task is taken for it. part: only the files in a folder that, or whose folder,
    is called so; on the Hub the configuration, such as 4096 where tasks are parted by length alone. Evidence is known
    of the needles alone. Raises InputError for a file, row or field that is not as described, for an input with no
    question in it that is known and for a set without rows of the task; UsageError for an unknown task.
    """
    one_of("task of RULER", task, _TASKS)
    empty = True
    for row in _rows(path, task, str(part)):
        called = _called(row) or (task if Path(path).is_file() else "")
        if task in ("", called):
            yield _sample(row, called)
            empty = False
    if empty:
        raise InputError(f"{path} has no rows of the task {task}", fix="give another task, or none for all")


def _rows(path: str, task: str, part: str) -> Iterator[Row]:
    """The rows among which those of a task are: its own files or configuration where there are any, or else all."""
    if not part and task and not Path(path).is_file() and holds(path, task):
        part = task
    return rows(path, part or None)


def _called(row: Row) -> str:
    """Which task a row is of, by its own word or else by its names; empty where that cannot be told."""
    own = str(row.get("task") or "")
    return own if own in _TASKS else row.named(_TASKS)


def _sample(row: Row, called: str) -> Sample:
    context, query = _split(row)
    golds = texts(row, "outputs" if "outputs" in row else "answer")
    asked = next((room for mark, room in _ROOM.items() if mark in query), 0)
    any_will_do = _DOCUMENTS in query or str(row.get("task", "")).startswith("qa")
    turn = Turn(
        query,
        golds[0] if any_will_do else " " + ", ".join(golds),
        golds,
        "any_substring" if any_will_do else "all_substring",
        prefix=str(row.get("answer_prefix") or ""),
        max_new_tokens=int(row.get("max_new_tokens") or (32 if any_will_do else asked)),
        evidence=_evidence(context, golds),
        decoys=_others(context, golds),
    )
    task = str(row.get("task") or called or row.names[0])
    meta = {"dataset": "ruler", "task": task, "tokens": row.get("length")}
    return Sample((Segment(context),), (turn,), meta)


def _split(row: Row) -> tuple[str, str]:
    """The context, and the question with all that follows it."""
    if "question" in row:
        return text(row, "context"), text(row, "question").strip()
    whole = text(row, "input")
    starts = [whole.rfind(mark) for mark in _QUESTIONS[:3]]
    start = max(starts) if max(starts) > 0 else whole.rfind(_QUESTIONS[3])
    if start <= 0:
        raise row.wrong("field 'input' has no question that RULER is known to ask")
    return whole[:start], whole[start:].rstrip()


def _evidence(context: str, golds: tuple[str, ...]) -> tuple[Span, ...]:
    return tuple(Span(0, *found.span()) for found in _NEEDLE.finditer(context) if found[1] in golds)


def _others(context: str, golds: tuple[str, ...]) -> tuple[str, ...]:
    """Values of needles that are not asked for."""
    values = dict.fromkeys(found[1] for found in _NEEDLE.finditer(context))
    return tuple(value for value in values if value not in golds)[:_DECOYS]
