"""LongBench: question answering, summaries, few-shot learning, counting and code over 16 English data sets.

A folder holds `hotpotqa.jsonl` and so on, or the same with `_e` (LongBench-E), with the fields `input`, `context`,
`answers`, `all_classes`, `length` and `dataset`. The Chinese sets are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from farspan.tasks.files.rows import Row, one_of, rows, text, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    source="LongBench (Bai et al. 2023), the English sets with their metrics; the files are the user's",
    version=2,
)
_FIRST_LINE = ("triviaqa", "samsum")
_NEXT_EXAMPLE = ("\nQuestion:", "\nPassage:", "\nDialogue:")


class _Kind(NamedTuple):
    """How a data set is asked and scored, and how many tokens its reply may take."""

    query: str
    scorer: str
    room: int
    stop: tuple[str, ...] = ()


_BRIEFLY = "Answer in as few words as you can, and explain nothing.\nQuestion: {input}\nAnswer:"
_EXAMPLES = "Go on as in the examples above, for this one only.\n{input}"
_QA = _Kind(_BRIEFLY, "f1", 32)
_KINDS: Mapping[str, _Kind] = {
    "narrativeqa": _QA._replace(room=128),
    "qasper": _Kind(
        "Answer in a few words; yes or no is enough where the question is of that kind. Write unanswerable where the "
        "article does not tell.\nQuestion: {input}\nAnswer:",
        "f1",
        128,
    ),
    "multifieldqa_en": _QA._replace(room=64),
    "hotpotqa": _QA,
    "2wikimqa": _QA,
    "musique": _QA,
    "gov_report": _Kind("Summarize the report above on one page.", "rouge_l", 512),
    "qmsum": _Kind("Answer from the meeting above, in one or a few sentences.\n{input}", "rouge_l", 512),
    "multi_news": _Kind("Summarize all of the news above on one page.", "rouge_l", 512),
    "trec": _Kind(_EXAMPLES, "class_name", 64, _NEXT_EXAMPLE),
    "triviaqa": _Kind(_EXAMPLES, "f1", 32, _NEXT_EXAMPLE),
    "samsum": _Kind(_EXAMPLES, "rouge_l", 128, _NEXT_EXAMPLE),
    "passage_count": _Kind(
        "Some of the paragraphs above are repeated. How many different ones are there? Answer with the number alone.",
        "number_share",
        32,
    ),
    "passage_retrieval_en": _Kind(
        "Which of the paragraphs above does this summary belong to? Answer in the form: Paragraph 7\n{input}",
        "number_share",
        32,
    ),
    "lcc": _Kind("Write the one line of code that comes next, and nothing else.", "edit_similarity", 64),
    "repobench-p": _Kind(
        "Write the one line of code that comes next in this file, and nothing else.\n{input}", "edit_similarity", 64
    ),
}


def read(path: str, *, dataset: str = "") -> Iterator[Sample]:
    """The samples of one data set, or of all that are there.

    dataset: one of the 16, such as `hotpotqa`. Evidence is known of `passage_retrieval_en` alone. Raises InputError
    for a file, row or field that is not as described, UsageError for an unknown data set.
    """
    one_of("data set of LongBench", dataset.removesuffix("_e"), _KINDS)
    for row in rows(path, dataset or None):
        called = _called(row)
        if called in _KINDS and dataset.removesuffix("_e") in ("", called):
            yield _sample(row, called)


def _called(row: Row) -> str:
    named = [str(row.get("dataset") or ""), *row.names]
    return next((one.removesuffix("_e") for one in named if one.removesuffix("_e") in _KINDS), "")


def _sample(row: Row, dataset: str) -> Sample:
    kind, context, golds = _KINDS[dataset], text(row, "context"), texts(row, "answers")
    options: dict[str, Any] = {}
    evidence: tuple[Span, ...] = ()
    answer = golds[0]
    if dataset == "trec":
        options["classes"] = list(texts(row, "all_classes"))
    if kind.scorer == "edit_similarity" or dataset in _FIRST_LINE:
        options["first_line"] = True
    if dataset == "passage_retrieval_en":
        evidence = _paragraph(context, golds[0])
        golds = tuple(re.sub(r"\D", "", gold) for gold in golds)
    query = kind.query.format(input=str(row.get("input") or "").strip())
    turn = Turn(query, answer, golds, kind.scorer, options, "", kind.room, evidence, stop=kind.stop)
    meta = {"dataset": dataset, "words": row.get("length"), "id": row.get("_id")}
    return Sample((Segment(context.rstrip() + "\n\n"),), (turn,), meta)


def _paragraph(context: str, name: str) -> tuple[Span, ...]:
    """Where the paragraph of that name, `Paragraph 7`, stands."""
    start = re.search(rf"^{re.escape(name)}:", context, re.MULTILINE)
    if start is None:
        return ()
    end = re.compile(r"^Paragraph \d+:", re.MULTILINE).search(context, start.end())
    found = context[start.start() : end.start() if end else len(context)].rstrip()
    return (Span(0, start.start(), start.start() + len(found)),)
