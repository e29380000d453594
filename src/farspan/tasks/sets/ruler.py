"""RULER's files: needles, variables, frequent words and questions, as its own scripts have written them.

A row has the fields `input`, `outputs` and `answer_prefix`; or, as published for KV compression, `context`,
`question`, `answer` and `answer_prefix`. The input is split where its question begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from farspan.tasks.files.rows import Row, rows, text, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="verbatim",
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


def read(path: str, *, task: str = "") -> Iterator[Sample]:
    """The samples of a file, or of the files of a folder, which lie in folders called like their task.

    task: one of them, such as `niah_multikey_2`. Evidence is known of the needles alone. Raises InputError for a file,
    row or field that is not as described, and for an input with no question in it that is known.
    """
    for row in rows(path, task or None):
        yield _sample(row)


def _sample(row: Row) -> Sample:
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
    task = str(row.get("task") or row.named(_TASKS) or row.names[0])
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
