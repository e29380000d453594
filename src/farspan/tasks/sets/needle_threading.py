"""Needle Threading: pairs of keys and values; one value, several, those that meet a condition, or a chain's end.

A row has the fields `haystack`, `keys`, `values`, `question`, `needle_depth`, `thread_length`, `thread_direction`,
`num_threads`, `conditional_character` and so on, as published for all five of its tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from farspan.tasks.files.rows import Row, field, one_of, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="chain",
    diffusion="verbatim",
    source="Needle Threading (Roberts et al. 2024); the files are the user's",
    modes=("multi_request",),
    version=2,
)
_TASKS = ("single_needle", "multi_needle", "conditional_needle", "single_thread", "multi_thread")
_PAIR = re.compile(r"""["']([^"'\n]+)["']\s*:\s*["']([^"'\n]+)["']""")
_QUOTED = re.compile(r"""["']([^"'\n]+)["']""")
_PATTERN = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_LABELS = (
    "context_length",
    "num_kv_pairs",
    "needle_depth",
    "num_needles",
    "needle_placement",
    "thread_length",
    "thread_direction",
    "num_threads",
)
_NONE, _DECOYS = (None, "", "N/A", "n/a"), 24


def read(path: str, *, task: str = "") -> Iterator[Sample]:
    """The samples of one task, or of all.

    task: `single_needle`, `multi_needle`, `conditional_needle`, `single_thread` or `multi_thread`. Several values are
    scored by their place, those that meet a condition in any order (F1). The evidence is every pair on the way.
    Raises InputError for a file, row or field that is not as described, UsageError for an unknown task.
    """
    one_of("task of Needle Threading", task, _TASKS)
    for row in rows(path):
        if task in ("", _task(row)):
            yield _sample(row)


def _task(row: Row) -> str:
    """Which task a row is of, by what is counted in it."""
    if row.get("conditional_character") not in _NONE:
        return "conditional_needle"
    if int(row.get("num_threads") or 0) > 1:
        return "multi_thread"
    if int(row.get("thread_length") or 0) > 1:
        return "single_thread"
    return "multi_needle" if int(row.get("num_needles") or 0) > 1 else "single_needle"


def _sample(row: Row) -> Sample:
    haystack, task = text(row, "haystack"), _task(row)
    pairs = {found[1]: (found[2], found.span()) for found in _PAIR.finditer(haystack)}
    values, keys = _strings(field(row, "values")), _strings(field(row, "keys"))
    if not pairs or not values or not keys:
        raise row.wrong("there are no keys and values")
    evidence = _evidence(pairs, keys, values)
    turn = _turn(task, text(row, "question").strip(), values, evidence)
    if task in ("single_needle", "single_thread"):
        turn = _with_decoys(turn, pairs)
    meta = {"dataset": "needle_threading", "task": task, "id": row.get("id")}
    meta |= {name: row[name] for name in _LABELS if row.get(name) not in _NONE}
    return Sample((Segment(haystack.rstrip() + "\n\n"),), (turn,), meta)


def _turn(task: str, question: str, values: tuple[str, ...], evidence: tuple[Span, ...]) -> Turn:
    if task in ("single_needle", "single_thread"):
        return Turn(question, values[-1], (values[-1],), "kv_substring", evidence=evidence)
    scorer = "set_f1" if task == "conditional_needle" else "items"
    return Turn(question, ", ".join(values), values, scorer, {"pattern": _PATTERN}, evidence=evidence)


def _with_decoys(turn: Turn, pairs: Mapping[str, tuple[str, tuple[int, int]]]) -> Turn:
    """The values at the beginning of the haystack answer other questions, but for those on the way to the answer."""
    way = {(span.start, span.end) for span in turn.evidence}
    others = [value for value, span in pairs.values() if value != turn.gold[0] and span not in way][:_DECOYS]
    return Turn(turn.query, turn.answer, turn.gold, turn.scorer, evidence=turn.evidence, decoys=tuple(others))


def _evidence(
    pairs: Mapping[str, tuple[str, tuple[int, int]]], keys: tuple[str, ...], values: tuple[str, ...]
) -> tuple[Span, ...]:
    """The pairs from each key to a value that is asked for, however many lie between."""
    found: set[tuple[int, int]] = set()
    for key in keys:
        passed: list[tuple[int, int]] = []
        seen: set[str] = set()
        while key in pairs and key not in seen:
            seen.add(key)
            value, span = pairs[key]
            passed.append(span)
            if value in values:
                break
            key = value
        found.update(passed)
    return tuple(Span(0, *span) for span in sorted(found))


def _strings(held: object) -> tuple[str, ...]:
    """The strings of a list, or of a text that writes one out; a text without quotes is a string itself."""
    if isinstance(held, list | tuple):
        return tuple(str(one) for one in held)
    whole = str(held).strip()
    found = tuple(_QUOTED.findall(whole))
    return found or ((whole,) if whole else ())
