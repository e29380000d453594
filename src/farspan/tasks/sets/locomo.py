"""LoCoMo: questions on the talk of two friends over months; some ask for what was never said.

A row has the fields `qa` (each with `question`, `answer` or `adversarial_answer`, `category` and `evidence`) and
`conversation` (`session_1`, `session_1_date_time` and so on). What is said at once is a segment. Answers are compared
by F1 without articles and the word `and`, as upstream does; words are not stemmed, as they are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from farspan.tasks.files.questions import spread
from farspan.tasks.files.rows import Row, one_of, parts, rows, text
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn

CARD = Card(
    scope="several facts",
    diffusion="paraphrased",
    version=2,
    source="LoCoMo (Maharana et al. 2024); questions are asked openly, words not stemmed; the files are the user's",
    chance=0.05,
    modes=("multi_request",),
)
_CATEGORIES: Mapping[str, str] = {
    "1": "multi_hop",
    "2": "temporal",
    "3": "open_domain",
    "4": "single_hop",
    "5": "adversarial",
}
_HOW = "Answer in as few words as you can. If it was never said, answer: not mentioned."
_DATE = "Answer with a date or a span of time, going by the dates of the sessions. " + _HOW
_SESSION, _SAID = re.compile(r"session_(\d+)"), re.compile(r"D\d+:\d+")
_UNSAID, _ROOM = "not mentioned", 50


def read(path: str, *, category: str = "", turns: int = 0) -> Iterator[Sample]:
    """A sample for each conversation, with all of its questions.

    category: `multi_hop`, `temporal`, `open_domain`, `single_hop` or `adversarial`. turns: the most questions on a
    conversation, 0 for all. Raises InputError for a file, row or field that is not as described, UsageError for an
    unknown category.
    """
    one_of("category of LoCoMo", category, _CATEGORIES.values())
    for row in rows(path):
        asked = [one for one in parts(row, "qa") if not category or _category(one) == category]
        if asked:
            yield _sample(row, spread(asked, turns))


def _sample(row: Row, asked: list[Row]) -> Sample:
    talk = row.get("conversation")
    segments, places = _segments(Row(talk, row.where) if isinstance(talk, dict) else row)
    turns = tuple(_turn(one, segments, places) for one in asked)
    return Sample(segments, turns, {"dataset": "locomo", "id": row.get("sample_id"), "segments": len(segments)})


def _segments(talk: Row) -> tuple[tuple[Segment, ...], Mapping[str, int]]:
    """What was said, session by session, and by its mark the number of its segment."""
    numbers = sorted(int(found[1]) for found in map(_SESSION.fullmatch, talk) if found and talk[found[0]])
    if not numbers:
        raise talk.wrong("there are no sessions")
    segments: list[Segment] = []
    places: dict[str, int] = {}
    for number in numbers:
        name, date = f"session_{number}", str(talk.get(f"session_{number}_date_time", ""))
        for turn, said in enumerate(parts(talk, name)):
            head = f"Session {number}, {date}\n" if turn == 0 else ""
            photo = f" [shares {said['blip_caption']}]" if said.get("blip_caption") else ""
            speaker = text(said, "speaker")
            places[str(said.get("dia_id"))] = len(segments)
            segments.append(Segment(f"{head}{speaker}: {text(said, 'text').strip()}{photo}\n", speaker, date, name))
        segments[-1] = Segment(segments[-1].text + "\n", segments[-1].role, date, name)
    return tuple(segments), places


def _turn(row: Row, segments: tuple[Segment, ...], places: Mapping[str, int]) -> Turn:
    category, said = _category(row), {mark for one in row.get("evidence") or () for mark in _SAID.findall(str(one))}
    found = sorted(places[mark] for mark in said if mark in places)
    evidence = tuple(Span(number, 0, len(segments[number].text.rstrip())) for number in found)
    query = f"{text(row, 'question').strip()}\n{_DATE if category == 'temporal' else _HOW}"
    options: dict[str, Any] = {"type": category}
    if category == "adversarial" and row.get("answer") is None:
        wrong = str(row.get("adversarial_answer") or _UNSAID)
        decoys = () if wrong.lower().startswith(_UNSAID) else (wrong,)
        return Turn(query, "Not mentioned.", (), "abstains", options, "", _ROOM, decoys=decoys)
    gold = text(row, "answer").strip()
    if category == "open_domain":
        gold = gold.split(";")[0].strip()
    scorer = {"multi_hop": "parts_f1", "adversarial": "any_substring"}.get(category, "f1")
    if scorer == "f1":
        options |= {"ignore": ["and"]}
    return Turn(query, gold, (gold,), scorer, options, "", _ROOM, evidence)


def _category(row: Row) -> str:
    number = text(row, "category")
    if number not in _CATEGORIES:
        raise row.wrong(f"field 'category' is {number} instead of 1 to 5")
    return _CATEGORIES[number]
