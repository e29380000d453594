"""SCBench: several questions on one context, which is read once: strings, variables, numbers, shots, books, code.

A row has the fields `context` (or `input`) and `multi_turns`, each of which has `input`, `answer` and perhaps
`options` and `task`. Files or their folders are called `scbench_kv` and so on. The Chinese set is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from farspan.errors import InputError
from farspan.tasks.files.questions import LETTERS, choice, letter_of, passages, spread
from farspan.tasks.files.rows import Row, field, one_of, parts, rows, text, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="several facts",
    diffusion="verbatim",
    source="SCBench (Li et al. 2024); functions are scored by edit distance; the files are the user's",
)
_OPTION, _DECOYS = re.compile(r"\(([A-Z])\)"), 24


class _Kind(NamedTuple):
    """How a data set is scored, how many tokens a reply may take, how it is to be answered."""

    scorer: str
    room: int = 0
    how: str = ""


_STRING = _Kind("kv_substring")
_KINDS: Mapping[str, _Kind] = {
    "scbench_kv": _STRING,
    "scbench_kv_hard": _STRING,
    "scbench_kv_compressible": _STRING,
    "scbench_hashhop": _STRING,
    "scbench_prefix_suffix": _STRING,
    "scbench_passkey": _Kind("first_int"),
    "scbench_vt": _Kind("all_substring"),
    "scbench_mf": _Kind("first_int"),
    "scbench_many_shot": _Kind("any_substring", 32),
    "scbench_qa_eng": _Kind("f1", 40, "\nAnswer in as few words as you can."),
    "scbench_choice_eng": _Kind("mcq_letter"),
    "scbench_summary": _Kind("rouge_l", 800),
    "scbench_repoqa": _Kind("edit_similarity", 1024),
}
_MIXED = ("scbench_summary_with_needles", "scbench_repoqa_and_kv")


def read(path: str, *, dataset: str = "", turns: int = 0) -> Iterator[Sample]:
    """The samples of one data set, or of all that are there; one sample for each context.

    dataset: such as `scbench_kv`, or without the first part. turns: the most questions on a context, 0 for all.
    Evidence is known where the answer is a string that stands in the context. Raises InputError for a file, row or
    field that is not as described, UsageError for an unknown data set.
    """
    wanted = f"scbench_{dataset.removeprefix('scbench_')}" if dataset else ""
    one_of("data set of SCBench", wanted, [*_KINDS, *_MIXED])
    for row in rows(path, wanted or None):
        called = row.named([*_KINDS, *_MIXED]) or wanted
        if called and wanted in ("", called):
            yield _sample(row, called, turns)
        elif not called and not any("chn" in name for name in row.names):
            raise _unnamed(row)


def _unnamed(row: Row) -> InputError:
    return InputError(f"{row.where}: which data set this is cannot be told", fix="set dataset=, such as scbench_kv")


def _sample(row: Row, dataset: str, most: int) -> Sample:
    held = field(row, "context" if "context" in row else "input")
    context = held if isinstance(held, str) else "The numbers of a list:\n" + ", ".join(map(str, held))
    segments = (Segment(context.rstrip() + "\n\n"),)
    asked = spread(parts(row, "multi_turns"), most)
    turns = [_turn(one, dataset, segments) for one in asked]
    answers = [turn.gold[0] for turn in turns]
    return Sample(
        segments,
        tuple(_with_decoys(turn, [*answers[:i], *answers[i + 1 :]]) for i, turn in enumerate(turns)),
        {"dataset": dataset, "id": row.get("id"), "task": row.get("task")},
    )


def _turn(row: Row, dataset: str, segments: tuple[Segment, ...]) -> Turn:
    kind = str(row.get("task") or dataset)
    if kind not in _KINDS:
        kind = dataset
    if kind not in _KINDS:
        raise row.wrong(f"field 'task' names no part of {dataset}")
    question, golds = text(row, "input"), texts(row, "answer")
    if row.get("options"):
        return _options(row, question, golds)
    scorer, room, how = _KINDS[kind]
    if kind == "scbench_many_shot" and re.fullmatch(r"\(?[A-Z]\)?", golds[0].strip()):
        return _lettered(question, golds[0].strip().strip("()"))
    evidence = passages(segments, golds[:1]) if scorer == "kv_substring" or kind == "scbench_passkey" else ()
    answer = ", ".join(golds) if scorer == "all_substring" else golds[0]
    return Turn(question.strip() + how, answer, golds, scorer, {"type": kind}, max_new_tokens=room, evidence=evidence)


def _options(row: Row, question: str, golds: tuple[str, ...]) -> Turn:
    options = texts(row, "options")
    letters = [letter_of(gold, options) for gold in golds]
    right = next(filter(None, letters), "")
    if not right:
        raise row.wrong("field 'answer' is none of the options")
    return choice(question, options, right, type="scbench_choice_eng")


def _lettered(question: str, right: str) -> Turn:
    """A question that brings its options with it, as `(A)` and so on."""
    highest = max([*_OPTION.findall(question), right], key=LETTERS.index)
    options = {"letters": LETTERS[: LETTERS.index(highest) + 1], "type": "scbench_many_shot"}
    return Turn(question.strip(), right, (right,), "mcq_letter", options, max_new_tokens=32)


def _with_decoys(turn: Turn, others: list[str]) -> Turn:
    """Answers to the other questions, where each is a string of its own."""
    if turn.scorer != "kv_substring":
        return turn
    decoys = tuple(dict.fromkeys(other for other in others if other not in turn.gold))
    return replace(turn, decoys=decoys[:_DECOYS])
