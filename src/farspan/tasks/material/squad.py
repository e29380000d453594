"""Paragraphs with questions from a file: the format of SQuAD, XQuAD and MLQA, or a row for every question.

Rows have `context`, `question` (or `input`) and `answers`: a list, a text, or an object with a list `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from farspan.errors import InputError
from farspan.tasks.files.rows import Row, field, parts, rows, text, texts

_FIX = 'give a file of {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]} or of rows with context, question '
_FIX += "and answers"


class Item(NamedTuple):
    """A question, all right wordings of its answer, and the number of the paragraph that answers it."""

    question: str
    answers: tuple[str, ...]
    paragraph: int


class Collection(NamedTuple):
    """Paragraphs, the number of the article that each is from, and the questions on them.

    Every context of a file of rows is an article of its own.
    """

    paragraphs: tuple[str, ...]
    articles: tuple[int, ...]
    items: tuple[Item, ...]


def read(path: str) -> Collection:
    """The file's paragraphs and its questions that have an answer in them.

    Raises InputError for a file that is missing, is not of this format, or has no such question.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}", fix=_FIX)
    stat = Path(path).stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(path: str, _changed: int, _size: int) -> Collection:
    """A file that was changed is read again."""
    places: dict[tuple[int, str], int] = {}
    items: list[Item] = []
    for number, entry in enumerate(rows(path)):
        squad = "paragraphs" in entry
        for paragraph in parts(entry, "paragraphs") if squad else [entry]:
            context = text(paragraph, "context").strip()
            place = places.setdefault((number if squad else -1, context), len(places))
            items += _items(paragraph, context, place) if squad else _item(paragraph, context, place)
    if not items:
        raise InputError(f"{path} has no question with an answer in its paragraph", fix=_FIX)
    articles = tuple(place if number < 0 else number for (number, _), place in places.items())
    return Collection(tuple(context for _, context in places), articles, tuple(items))


def _items(paragraph: Row, context: str, number: int) -> list[Item]:
    """Questions that have no answer, or none that stands in the paragraph, are left out."""
    found: list[Item] = []
    for qa in parts(paragraph, "qas") if paragraph.get("qas") else []:
        told = [text(answer, "text") for answer in parts(qa, "answers")] if qa.get("answers") else []
        found += _asked(text(qa, "question"), told, context, number)
    return found


def _item(row: Row, context: str, number: int) -> list[Item]:
    """The question of a row, which is left out as those are."""
    held = field(row, "answers")
    told = field(Row(held, row.where), "text") if isinstance(held, Mapping) else held
    if told in ([], ""):
        return []
    question = text(row, "question" if row.get("question") else "input")
    return _asked(question, texts(Row({"answers": told}, row.where), "answers"), context, number)


def _asked(question: str, told: Iterable[str], context: str, number: int) -> list[Item]:
    answers = tuple(answer for answer in dict.fromkeys(one.strip() for one in told) if answer and answer in context)
    return [Item(question.strip(), answers, number)] if answers else []
