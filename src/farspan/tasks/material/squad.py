"""Paragraphs with questions from a file in the format of SQuAD, which XQuAD and MLQA share."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from farspan.errors import InputError
from farspan.tasks.files.rows import Row, parts, rows, text

_FIX = 'give a JSON file such as {"data": [{"paragraphs": [{"context": ..., "qas": [...]}]}]}'


class Item(NamedTuple):
    """A question, all right wordings of its answer, and the number of the paragraph that answers it."""

    question: str
    answers: tuple[str, ...]
    paragraph: int


class Collection(NamedTuple):
    """Paragraphs, the number of the article that each is from, and the questions on them."""

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
    paragraphs: list[str] = []
    articles: list[int] = []
    items: list[Item] = []
    for article, entry in enumerate(rows(path)):
        for paragraph in parts(entry, "paragraphs"):
            context = text(paragraph, "context").strip()
            items += _items(paragraph, context, len(paragraphs))
            paragraphs.append(context)
            articles.append(article)
    if not items:
        raise InputError(f"{path} has no question with an answer in its paragraph", fix=_FIX)
    return Collection(tuple(paragraphs), tuple(articles), tuple(items))


def _items(paragraph: Row, context: str, number: int) -> list[Item]:
    """Questions that have no answer, or none that stands in the paragraph, are left out."""
    found = []
    for qa in parts(paragraph, "qas") if paragraph.get("qas") else []:
        told = [text(answer, "text").strip() for answer in parts(qa, "answers")] if qa.get("answers") else []
        answers = tuple(answer for answer in dict.fromkeys(told) if answer and answer in context)
        if answers:
            found.append(Item(text(qa, "question").strip(), answers, number))
    return found
