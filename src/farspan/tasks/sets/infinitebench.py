"""InfiniteBench: 11 English tasks on contexts of 100 thousand tokens and more: keys, numbers, code, books, scripts.

A row has the fields `context`, `input`, `answer` and `options`. Files are called `passkey.jsonl` and so on; on the
Hub they are splits. The Chinese task is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from farspan.errors import InputError
from farspan.tasks.files.questions import choice, letter_of, passages
from farspan.tasks.files.rows import Row, field, one_of, rows, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="several facts",
    diffusion="verbatim",
    source="InfiniteBench (Zhang et al. 2024), the English tasks with their metrics; the files are the user's",
    modes=("multi_request",),
)


class _Kind(NamedTuple):
    """How a task is asked and scored, and how many tokens its reply may take (0 for what the answer takes)."""

    query: str
    scorer: str
    room: int = 0


_KINDS: Mapping[str, _Kind] = {
    "passkey": _Kind("{input}", "first_int"),
    "number_string": _Kind("{input}", "first_int"),
    "kv_retrieval": _Kind("Give the value of this key in the JSON object above.\n{input}", "kv_substring"),
    "longbook_sum_eng": _Kind("Summarize the book above.", "rouge_l", 1200),
    "longbook_qa_eng": _Kind("{input}\nAnswer in as few words as you can.", "f1", 40),
    "longbook_choice_eng": _Kind("{input}", "mcq_letter"),
    "longdialogue_qa_eng": _Kind(
        "In the script above, the name of one character is replaced with $$MASK$$. Which character is it? Answer with "
        "the name alone.",
        "any_substring",
        40,
    ),
    "math_find": _Kind("{input}", "first_int", 24),
    "math_calc": _Kind(
        "Work out the sum above from left to right. List the value after every operation, beginning with the first "
        "number, as in [5, 8, 2].",
        "leading_numbers",
    ),
    "code_run": _Kind("{input}\nEnd with the number alone.", "last_number", 64),
    "code_debug": _Kind("One of these functions in the code above holds a deliberate error. Which one?", "mcq_letter"),
}


def read(path: str, *, task: str = "") -> Iterator[Sample]:
    """The samples of one task, or of all that are there.

    task: one of the 11, such as `kv_retrieval`. Evidence is known where the answer stands in the context as it is.
    Raises InputError for a file, row or field that is not as described, UsageError for an unknown task.
    """
    one_of("task of InfiniteBench", task, _KINDS)
    on_hub = path.startswith("hub:")
    for row in rows(path, None if on_hub else task or None, (task or None) if on_hub else None):
        called = row.named(_KINDS) or task
        if called and task in ("", called):
            yield _sample(row, called)
        elif not called and not any("chn" in name for name in row.names):
            raise InputError(f"{row.where}: which task this is cannot be told", fix="set task=, such as passkey")


def _sample(row: Row, task: str) -> Sample:
    held = field(row, "context")
    context = held if isinstance(held, str) else str(held)
    segments = (Segment(context.strip() + "\n\n"),)
    return Sample(
        segments, (_turn(row, task, segments),), {"dataset": "infinitebench", "task": task, "id": row.get("id")}
    )


def _turn(row: Row, task: str, segments: tuple[Segment, ...]) -> Turn:
    kind, golds = _KINDS[task], texts(row, "answer")
    query = kind.query.replace("{input}", str(row.get("input") or "").strip())
    if kind.scorer == "mcq_letter":
        options = texts(row, "options")
        right = next(filter(None, (letter_of(gold, options) for gold in golds)), "")
        if not right:
            raise row.wrong("field 'answer' is none of the options")
        return choice(query, options, right)
    if task == "math_calc":
        golds = tuple(re.findall(r"-?\d+", ", ".join(golds)))
        return Turn(query, f"[{', '.join(golds)}]", golds, kind.scorer)
    located = task in ("passkey", "number_string", "kv_retrieval")
    evidence = passages(segments, golds[:1]) if located else ()
    return Turn(query, golds[0], golds, kind.scorer, max_new_tokens=kind.room, evidence=evidence)
