"""L-Eval: 20 data sets of exams and of questions and summaries, with many questions on one document.

A row has the fields `input`, `instructions`, `outputs`, `source` and `evaluation` (`exam`, `f1`, `rouge`, `human`,
`LLM`). Files are called `coursera.jsonl` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from farspan.tasks.files.questions import spread
from farspan.tasks.files.rows import Row, one_of, rows, text, texts
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    source="L-Eval (An et al. 2023); what is meant for judges is scored by ROUGE-L; the files are the user's",
    chance=0.04,
)
_EXAMS = ("coursera", "quality", "tpo", "gsm100", "codeU", "sci_fi", "topic_retrieval_longchat")
_OPEN = (
    "financial_qa",
    "gov_report_summ",
    "legal_contract_qa",
    "meeting_summ",
    "multidoc_qa",
    "narrative_qa",
    "natural_question",
    "news_summ",
    "paper_assistant",
    "patent_summ",
    "review_summ",
    "scientific_qa",
    "tv_show_summ",
)
_FACT = re.compile(r"(True|False)\s*\[fact: (True|False)\]", re.IGNORECASE)
_ONE_LETTER = "Answer with the letter of the right option alone."
_LETTERS = "One or more options are right. Answer with their letters alone, such as A or BD."
_TRUTH = "Go by the story alone. Answer True or False."
_BRIEFLY = "Answer briefly and to the point."
_THINK, _SUMMARY, _PHRASE = 512, 512, 64


def read(path: str, *, dataset: str = "", turns: int = 0) -> Iterator[Sample]:
    """A sample for each document, with all of its questions.

    dataset: one of the 20, such as `quality`. turns: the most questions on a document, 0 for all. Of `sci_fi`, only
    what holds in the story is asked, not what holds in the world. Raises InputError for a file, row or field that is
    not as described, UsageError for an unknown data set.
    """
    one_of("data set of L-Eval", dataset, [*_EXAMS, *_OPEN])
    for row in rows(path, dataset or None):
        called = row.named([*_EXAMS, *_OPEN]) or dataset
        if dataset in ("", called):
            yield _sample(row, called, turns)


def _sample(row: Row, dataset: str, most: int) -> Sample:
    questions, answers = texts(row, "instructions"), texts(row, "outputs")
    if len(questions) != len(answers):
        raise row.wrong(f"{len(questions)} instructions have {len(answers)} outputs")
    judged = str(row.get("evaluation") or "")
    pairs = spread(list(zip(questions, answers, strict=True)), most)
    turns = tuple(_turn(row, dataset, judged, question.strip(), answer.strip()) for question, answer in pairs)
    meta = {"dataset": dataset or judged, "source": row.get("source"), "evaluation": judged}
    return Sample((Segment(text(row, "input").strip() + "\n\n"),), turns, meta)


def _turn(row: Row, dataset: str, judged: str, question: str, answer: str) -> Turn:
    if dataset in ("quality", "tpo"):
        return _letter(row, question, answer)
    if dataset == "coursera":
        return _asked(f"{question}\n{_LETTERS}", answer, "letters", {"letters": "ABCDE"}, _PHRASE)
    if dataset == "sci_fi":
        return _truth(row, question, answer)
    if dataset == "gsm100":
        return _asked(question, answer, "last_number", {}, _THINK)
    if dataset == "codeU":
        return _asked(f"{question}\nEnd with the output alone.", answer, "code_output", {}, _THINK)
    if judged == "exam":
        return _asked(question, answer, "any_substring", {}, _PHRASE)
    if judged == "f1":
        return _asked(f"{question}\n{_BRIEFLY}", answer, "f1", {}, 2 * _PHRASE)
    return _asked(question, answer, "rouge_l", {}, _SUMMARY)


def _asked(query: str, answer: str, scorer: str, options: Mapping[str, Any], room: int) -> Turn:
    return Turn(query, answer, (answer,), scorer, options, max_new_tokens=room)


def _letter(row: Row, question: str, answer: str) -> Turn:
    found = re.match(r"\(?([A-D])(?:[).\s]|$)", answer)
    if found is None:
        raise row.wrong(f"output {answer[:40]!r} begins with none of the letters A to D")
    return _asked(f"{question}\n{_ONE_LETTER}", found[1], "mcq_letter", {"letters": "ABCD"}, _PHRASE)


def _truth(row: Row, question: str, answer: str) -> Turn:
    found = _FACT.fullmatch(answer)
    if found is None:
        raise row.wrong(f"output {answer[:40]!r} is not of the form: True [fact: False]")
    # The query names both labels; without a question of its own, the scorer would leave them out of the reply.
    options = {"labels": ["True", "False"], "question": "-", "fact": found[2]}
    return _asked(f"{question}\n{_TRUTH}", found[1], "label_set", options, _PHRASE)
