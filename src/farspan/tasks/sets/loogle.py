"""LooGLE: questions, gaps and summaries on papers, articles and scripts of recent years.

A row has the fields `input`, `title`, `qa_pairs` (each with `Q`, `A`, `S` and perhaps `type`) and `output`; newer files
have one question in each row, with `context`, `question`, `answer` and `evidence`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from farspan.tasks.files.questions import passages, short, spread
from farspan.tasks.files.rows import Row, field, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    source="LooGLE (Li et al. 2023); answers are scored by F1 and ROUGE-L; the files are the user's",
)
_ORDER = re.compile(r"\s*\d+(?:\s*,\s*\d+)+\s*\.?\s*")
_HOW = "Answer briefly, from the text above."
_SUMMARY = "Summarize the text above in one paragraph."
_GAPS = (
    "The marks <mask-0>, <mask-1> and so on stand for names of people, places or organizations in the text above. "
    'Write for each who or what it is, as JSON: {"<mask-0>": "...", "<mask-1>": "..."}'
)


def read(path: str, *, dataset: str = "", turns: int = 0) -> Iterator[Sample]:
    """A sample for each document, with all of its questions, or with its summary.

    dataset: one of the files of a folder, such as `longdep_qa`. turns: the most questions on a document, 0 for all.
    Evidence is known where it is quoted word for word. Raises InputError for a file, row or field that is not as
    described.
    """
    whole = rows(path, dataset or None)
    for document, group in groupby(whole, key=_document):
        held = list(group)
        asked = [pair for row in held for pair in _pairs(row)]
        yield _sample(held[0], document, spread(asked, turns))


def _document(row: Row) -> str:
    return text(row, "input" if "input" in row else "context")


def _sample(row: Row, document: str, asked: list[Row]) -> Sample:
    segments = (Segment(document.strip() + "\n\n"),)
    turns = tuple(_turn(pair, segments) for pair in asked)
    meta = {"dataset": next((name for name in row.names if "dep" in name), row.names[0]), "title": row.get("title")}
    return Sample(segments, turns, meta)


def _turn(pair: Row, segments: tuple[Segment, ...]) -> Turn:
    question, answer = pair.get("Q"), field(pair, "A")
    kind = str(pair.get("type") or ("summary" if not question else "question"))
    quotes = pair.get("S") or ()
    evidence = passages(segments, [quotes] if isinstance(quotes, str) else [str(one) for one in quotes])
    if isinstance(answer, Mapping):
        return _gaps(str(question), answer, evidence)
    if not question:
        return Turn(_SUMMARY, str(answer), (), "rouge_l", {"type": kind}, "", 500)
    if _ORDER.fullmatch(str(answer)):
        return _ordered(str(question), re.findall(r"\d+", str(answer)), kind, evidence)
    return short(str(question), [str(answer)], how=_HOW, options={"type": kind}, room=300, evidence=evidence)


def _ordered(question: str, numbers: list[str], kind: str, evidence: tuple[Span, ...]) -> Turn:
    query = f"{question.strip()}\nAnswer with the numbers in their order, parted by commas."
    options = {"all": True, "type": kind}
    return Turn(query, ", ".join(numbers), tuple(numbers), "items", options, max_new_tokens=64, evidence=evidence)


def _gaps(question: str, answer: Mapping[str, Any], evidence: tuple[Span, ...]) -> Turn:
    masks = {str(mask): str(name) for mask, name in answer.items()}
    options = {"masks": list(masks), "type": "cloze"}
    return Turn(f"{_GAPS}\n{question}", json.dumps(masks), tuple(masks.values()), "masks", options, evidence=evidence)


def _pairs(row: Row) -> list[Row]:
    """Its questions; a summary is one without words."""
    if "question" in row and "qa_pairs" not in row:
        named = {"Q": row["question"], "A": field(row, "answer"), "S": row.get("evidence"), "type": row.get("type")}
        return [Row(named, row.where, row.names)]
    held = row.get("qa_pairs")
    if held is None or (isinstance(held, str) and held.strip().lower() == "none"):
        return [Row({"A": text(row, "output")}, row.where, row.names)]
    pairs = _parsed(row, held) if isinstance(held, str) else held
    if not isinstance(pairs, list) or not pairs or any(not isinstance(pair, dict) for pair in pairs):
        raise row.wrong("field 'qa_pairs' is no list of questions")
    return [Row(pair, f"{row.where}, question {number}", row.names) for number, pair in enumerate(pairs, 1)]


def _parsed(row: Row, held: str) -> Any:
    """The list that a text writes out, as JSON or as Python does; nothing in it is run."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(held)
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            continue
    raise row.wrong("field 'qa_pairs' cannot be understood")
