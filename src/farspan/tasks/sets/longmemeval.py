"""LongMemEval: questions on what a user and an assistant said in many sessions: facts, sums, dates, changes.

A row has the fields `question`, `answer`, `question_type`, `question_date`, `haystack_sessions`, `haystack_dates` and
`haystack_session_ids`. A message is a segment with its speaker, its time and its session.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from farspan.tasks.files.questions import short
from farspan.tasks.files.rows import Row, field, one_of, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    source="LongMemEval (Wu et al. 2024); scored by words instead of by a judge; the files are the user's",
    modes=("multi_request",),
)
_TYPES = (
    "single-session-user",
    "single-session-assistant",
    "single-session-preference",
    "temporal-reasoning",
    "knowledge-update",
    "multi-session",
)
_ABSTAIN, _PREFERENCE = "abstention", "single-session-preference"
_HOW = "Answer from the conversations above in as few words as you can. If they do not tell, say that they do not."
_UNTOLD = "The conversations do not mention it: there is no information on that."
_ALSO = re.compile(r"(.+?)\.\s+(.+?)(?:\s*\([^()]*\))?\s+(?:is|are) also acceptable")
_BRIEF, _ROOM = 5, 96


def read(path: str, *, question_type: str = "") -> Iterator[Sample]:
    """The samples of one type, or of all but `single-session-preference`, whose answers describe a good reply.

    question_type: one of the set's six, or `abstention` for those that the conversations do not answer. An answer of
    up to five words must stand in the reply; with a longer one the reply's words are compared (F1). Raises InputError
    for a file, row or field that is not as described, UsageError for an unknown type.
    """
    one_of("question type of LongMemEval", question_type, [*_TYPES, _ABSTAIN])
    for row in rows(path):
        kind = _ABSTAIN if text(row, "question_id").endswith("_abs") else text(row, "question_type")
        if kind == question_type or (not question_type and kind != _PREFERENCE):
            yield _sample(row, kind)


def _sample(row: Row, kind: str) -> Sample:
    segments, marked = _sessions(row)
    evidence = () if kind == _ABSTAIN else marked
    query = f"Today is {text(row, 'question_date')}. {text(row, 'question')}"
    meta = {
        "dataset": "longmemeval",
        "id": row["question_id"],
        "type": kind,
        "sessions": len({segment.name for segment in segments}),
    }
    return Sample(segments, (_turn(query, text(row, "answer"), kind, evidence),), meta)


def _turn(query: str, answer: str, kind: str, evidence: tuple[Span, ...]) -> Turn:
    if kind == _ABSTAIN:
        return short(query, [_UNTOLD], "abstains", how=_HOW, room=_ROOM)
    also = _ALSO.match(answer)
    golds = (also[1].strip(), also[2].strip()) if also else (answer.strip().rstrip("."),)
    brief = kind != _PREFERENCE and all(len(gold.split()) <= _BRIEF for gold in golds)
    return short(query, golds, "any_substring" if brief else "f1", how=_HOW, room=_ROOM, evidence=evidence)


def _sessions(row: Row) -> tuple[tuple[Segment, ...], tuple[Span, ...]]:
    """The messages in the order of their time, and where what is asked for is said."""
    sessions, dates = field(row, "haystack_sessions"), field(row, "haystack_dates")
    ids = row.get("haystack_session_ids") or [str(number) for number in range(1, len(sessions) + 1)]
    if not len(sessions) == len(dates) == len(ids):
        raise row.wrong(f"{len(sessions)} sessions have {len(dates)} dates and {len(ids)} ids")
    held: list[tuple[Segment, bool, str]] = []
    for date, name, messages in sorted(zip(dates, ids, sessions, strict=True), key=lambda one: str(one[0])):
        for number, message in enumerate(messages):
            head = f"Session of {date}\n" if number == 0 else ""
            segment = _said(row, message, head, str(date), str(name))
            held.append((segment, bool(message.get("has_answer")), str(name)))
    flagged = any(flag for _, flag, _ in held)
    named = {str(name) for name in row.get("answer_session_ids") or ()}
    spans = (
        Span(number, 0, len(segment.text.rstrip()))
        for number, (segment, flag, name) in enumerate(held)
        if (flag if flagged else name in named)
    )
    return tuple(segment for segment, _, _ in held), tuple(spans)


def _said(row: Row, message: Any, head: str, date: str, name: str) -> Segment:
    if not isinstance(message, Mapping):
        raise row.wrong("a message is no object")
    role = str(field(message, "role", row.where))
    words = str(field(message, "content", row.where)).strip()
    return Segment(f"{head}{role.capitalize()}: {words}\n\n", role, date, name)
