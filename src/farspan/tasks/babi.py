"""Stories in prose: sentences of a small world lie far apart in a long text; where is whom, who holds what?

The worlds are simulated here, or taken from a file of bAbI with `path`.
"""

from __future__ import annotations

import random
from collections import Counter

from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material.stories import Question, stories
from farspan.tasks.material.worlds import PEOPLE, PLOTS, other_words, play, told

_CHANCES = {1: 0.14, 2: 0.18, 3: 0.16, 5: 0.12, 7: 0.23, 8: 0.1}
CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="BABILong (Kuratov et al. 2024) after bAbI (Weston et al. 2015); tasks 1, 2, 3, 5, 7, 8 in our own words",
    chance=0.16,
    version=2,
    chances={f"babilong_qa{task}": share for task, share in _CHANCES.items()},
    presets={f"babilong_qa{task}": {"task": task} for task in PLOTS},
)
_FORM = "Answer with the word alone, or the words with commas between them."
_TRIES = 30


def make(rng: random.Random, space: Space, *, task: int = 1, events: int = 0, path: str = "", turns: int = 1) -> Sample:
    """A story's sentences in their order at random depths of the prose; questions on how it ends.

    task: where people are (1), where things are (2) or were before (3), who gave what to whom (5), how many things (7)
    and which (8) someone holds. events: how many sentences; 0 takes what is usual for the task.
    path: a file of bAbI, which then says what is told and asked, and what answers there are; `task` and `events` do not
    count. Of its questions those that are asked before the end are only kept when nothing later may change the answer.
    Raises UsageError for another task, InputError for a file that cannot be read.
    """
    if path:
        facts, questions, labels = _from_file(rng, path)
    else:
        facts, questions, labels = _simulated(rng, task, events, turns)
    asked: list[Asked] = [(_turn(question, labels), question.needed) for question in questions[:turns]]
    return hide(rng, space, [f" {fact}" for fact in facts], asked, facts_needed=len(questions[0].needed))


def _simulated(
    rng: random.Random, task: int, events: int, turns: int
) -> tuple[list[str], list[Question], tuple[str, ...]]:
    """A world whose first question has an answer drawn evenly, and up to four; as far as a few tries give one."""
    check_choice("babi", "task", task, PLOTS)
    plot = PLOTS[task]
    wanted = rng.choice(plot.labels)
    questions: list[Question] = []
    tries, fewest = 0, min(turns, len(PEOPLE))
    while not questions or (tries < _TRIES and not _suits(questions, wanted, fewest)):
        world = play(rng, max(events or plot.amount, 4), plot.kinds)
        questions = _varied(rng, list(plot.ask(world)))
        tries += 1
    questions.sort(key=lambda one: wanted not in one.gold)
    return [told(rng, deed) for deed in world.deeds], questions, plot.labels


def _suits(questions: list[Question], wanted: str, fewest: int) -> bool:
    return len(questions) >= fewest and any(wanted in one.gold for one in questions)


def _varied(rng: random.Random, questions: list[Question]) -> list[Question]:
    """All of them in random order, but no answer for the second time before every answer has come once."""
    seen: Counter[tuple[str, ...]] = Counter()
    ranked = []
    for question in rng.sample(questions, len(questions)):
        seen[question.gold] += 1
        ranked.append((seen[question.gold], rng.random(), question))
    return [question for _, _, question in sorted(ranked, key=lambda one: one[:2])]


def _from_file(rng: random.Random, path: str) -> tuple[list[str], list[Question], tuple[str, ...]]:
    """Up to a question that is drawn, which is the first; then those of before that still stand."""
    every = stories(path)
    story, question = rng.choice([(story, question) for story in every for question in story.questions])
    labels = {label: None for one in every for asked in one.questions for label in asked.gold}
    earlier = [one for one in story.standing(question.known) if one.text != question.text]
    return list(story.facts[: question.known]), [question, *earlier], tuple(labels)


def _turn(question: Question, labels: tuple[str, ...]) -> Turn:
    aliases = other_words(labels)
    allowed = f" These words are allowed: {', '.join(labels)}." if aliases else ""
    return Turn(
        f"{question.text} {_FORM}{allowed}",
        " " + ", ".join(question.gold),
        question.gold,
        "label_set",
        {"labels": list(labels), "question": question.text} | ({"aliases": aliases} if aliases else {}),
    )
