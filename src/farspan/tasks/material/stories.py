"""Stories of numbered sentences with questions among them, as in the files of bAbI (Weston et al. 2015)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from farspan.errors import InputError
from farspan.tasks.files.texts import text_of

_LINE = re.compile(r"(\d+) (.+)")
_PARTS = re.compile(r"\s*[\t|]\s*")
_NAMED = re.compile(r"\b[A-Z]\w*|(?<=\bthe )\w+")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answers (all are right together), and the numbers of the facts that it needs, from 0 on.

    known: how many facts have been told when it is asked; 0 where it is asked at the end.
    """

    text: str
    gold: tuple[str, ...]
    needed: tuple[int, ...]
    known: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """Facts in their order, and the questions about them."""

    facts: tuple[str, ...]
    questions: tuple[Question, ...]

    def standing(self, known: int) -> list[Question]:
        """The questions asked by then whose answers still hold after `known` facts, the last one asked first.

        An answer is taken to hold when nobody and nothing that it depends on is named again.
        """
        kept: dict[str, Question] = {}
        for question in reversed(self.questions):
            if question.known <= known and question.text not in kept and not self._touched(question, known):
                kept[question.text] = question
        return list(kept.values())

    def _touched(self, question: Question, known: int) -> bool:
        needed = " ".join(self.facts[i] for i in question.needed)
        names = {*_NAMED.findall(question.text), *re.findall(r"\b[A-Z]\w*", needed)}
        later = " ".join(self.facts[question.known : known])
        return not names.isdisjoint(re.findall(r"\w+", later))


@lru_cache(maxsize=4)
def stories(path: str) -> tuple[Story, ...]:
    """The stories of a bAbI file: `3 Where is Mary? <tab> hall <tab> 1`, numbered from 1 on in each story.

    Raises InputError for a line that is none, with its number, and for a file without questions.
    """
    found = [_story(Path(path), lines) for lines in _blocks(Path(path))]
    told = tuple(story for story in found if story.questions)
    if not told:
        raise InputError(f"{path} holds no questions", fix="give a file of bAbI such as qa1_..._test.txt")
    return told


def _blocks(path: Path) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InputError(f"{path}, line {number}: no numbered sentence", fix="give a file of bAbI, English")
        if int(match[1]) == 1 and block:
            yield block
            block = []
        block.append((int(match[1]), match[2]))
    if block:
        yield block


def _story(path: Path, lines: list[tuple[int, str]]) -> Story:
    facts: list[str] = []
    places: dict[int, int] = {}
    questions = []
    for number, text in lines:
        asked, *rest = _PARTS.split(text)
        if not rest:
            places[number] = len(facts)
            facts.append(asked)
            continue
        try:
            needed = tuple(sorted(places[int(place)] for place in rest[1].split()))
        except (KeyError, ValueError, IndexError) as error:
            raise InputError(
                f"{path}: the question {asked!r} names no facts that stand before it", fix="give a file of bAbI"
            ) from error
        questions.append(Question(asked, tuple(rest[0].split(",")), needed, len(facts)))
    return Story(tuple(facts), tuple(questions))
