"""What a reader calls things: tasks and methods by their shortest plain names, in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from farspan import tasks
from farspan.errors import FarspanError
from farspan.evals.comparison import Subject
from farspan.evals.plan import FULL
from farspan.evals.summary import Cell
from farspan.tasks.kit.expression import split
from farspan.types import format_bytes, format_count

NATIVE_LENGTH, NATIVE = 0, "native"
MODES = {"multi_request": "each question by itself", "multi_turn": "as one conversation"}


@dataclass(frozen=True, slots=True)
class Title:
    """A task for a reader: its name, the knobs that set it apart, one sentence on it and labels."""

    name: str
    knobs: str = ""
    about: str = ""
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The name with its knobs."""
        return f"{self.name} ({self.knobs})" if self.knobs else self.name


@dataclass(frozen=True, slots=True)
class Names:
    """The tasks and subjects (method and budget) of a run, in order, and what to call them."""

    tasks: Mapping[str, Title]
    subjects: Mapping[Subject, str]
    lengths: Sequence[int]
    modes: Sequence[str]

    def number(self, subject: Subject) -> int:
        """Which of the subjects it is: its colour and its mark."""
        return list(self.subjects).index(subject)


def names_of(cells: Sequence[Cell], config: Mapping[str, Any]) -> Names:
    """Names for all that the cells hold. The plan in `config`, where there is one, gives order and shorter names."""
    plan = config.get("plan", {})
    wanted = list(plan.get("methods", ()))
    found = {(cell["method"], cell["budget"]) for cell in cells}
    subjects = sorted(found, key=lambda one: (one[0] != FULL, _place(one[0], wanted), one))
    return Names(
        tasks=_titles(sorted({cell["task"] for cell in cells}), list(plan.get("tasks", ()))),
        subjects={subject: _subject_name(subject, found) for subject in subjects},
        lengths=sorted({cell["length"] for cell in cells}),
        modes=sorted({cell["mode"] for cell in cells}),
    )


def length_name(length: int) -> str:
    """A length in tokens: `16K`; 0 is as long as the files are."""
    return format_count(length) if length else NATIVE


def amount(value: int | None) -> str:
    """A number of tokens: `16,384`."""
    return "n/a" if value is None else f"{value:,}"


def size(value: int | None) -> str:
    """A number of bytes: `64MiB`."""
    return "n/a" if value is None else format_bytes(value)


def percent(share: float | None) -> str:
    """A share in percent without its sign: `72`."""
    return "n/a" if share is None else f"{100 * share:.0f}"


def spread(cell: Mapping[str, Any]) -> str:
    """A cell's score with its interval, in percent: `72 [63, 80]`."""
    if cell["score"] is None:
        return "failed"
    return f"{percent(cell['score'])} [{percent(cell['low'])}, {percent(cell['high'])}]"


def plural(count: int, word: str) -> str:
    """A count with its word: `1 task`, `2,000 tasks`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _place(name: str, wanted: Sequence[str]) -> int:
    return wanted.index(name) if name in wanted else len(wanted)


def _subject_name(subject: Subject, found: Iterable[Subject]) -> str:
    """The method alone where all have one budget."""
    method, budget = subject
    return method if len({other for _, other in found}) == 1 else f"{method} @ {budget}"


def _titles(expressions: Sequence[str], wanted: Sequence[str]) -> dict[str, Title]:
    """Titles in the order of the plan. `turns` is left out where all tasks that say so have as many."""
    parts = {expression: _split(expression) for expression in expressions}
    turns = {str(knobs["turns"]) for _, knobs in parts.values() if "turns" in knobs}
    hidden = ("turns",) if len(turns) < 2 else ()
    order = [_without_turns(*_split(name)) for name in wanted]
    found = []
    for expression, (name, knobs) in parts.items():
        shown = ", ".join(f"{knob}={value}" for knob, value in knobs.items() if knob not in hidden)
        found.append((_place(_without_turns(name, knobs), order), expression, Title(name, shown, *_card(expression))))
    return {expression: title for _, expression, title in sorted(found, key=lambda one: one[:2])}


def _without_turns(name: str, knobs: Mapping[str, Any]) -> str:
    """A task as the plan has it, which may add the number of turns."""
    return repr((name, {knob: value for knob, value in knobs.items() if knob != "turns"}))


def _split(expression: str) -> tuple[str, dict[str, Any]]:
    try:
        return split(expression)
    except FarspanError:
        return expression, {}


def _card(expression: str) -> tuple[str, tuple[str, ...]]:
    """A task's sentence and labels; nothing for one that is not installed here."""
    try:
        task = tasks.parse(expression)
        sentence = tasks.idea(task.family)
    except (FarspanError, ImportError):
        return "", ()
    guess = (f"guess {percent(task.guess)}",) if task.guess else ()
    return sentence, (task.card.scope, task.card.diffusion, *guess)
