"""What a run measures: tasks, methods, lengths, how many questions, and how they are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from farspan import tasks
from farspan.errors import UsageError
from farspan.tasks import Count, Filler, Frame, Space, Synthetic, Task
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN
from farspan.types import Budget

MODES = (MULTI_REQUEST, MULTI_TURN)
FULL, NONE, EVIDENCE = "full", "none", "evidence"
BASELINES = (NONE, EVIDENCE)
NATIVE = 0
SYNTHETIC = "synthetic"
ENDPOINT = "endpoint"
"""Stands for the method where a server treats the context in a way of its own."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A task at a length (NATIVE: as long as its files are), the modes in which it is asked, questions at least."""

    task: Task
    length: int
    modes: tuple[str, ...]
    questions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run.

    tasks: expressions such as "needle(needles=4)". methods: expressions; the first one answers the baselines.
    lengths: in tokens, everything included. questions: at least so many in every cell. turns: questions on one context,
    for tasks whose expression does not say. modes: MODES; a conversation makes room for all of its turns.
    history: in a conversation, earlier answers are the right ones ("gold", as in SCBench) or the model's ("own").
    baselines: also ask without the context, and with the evidence alone, at each task's shortest length.
    stop_below: a method that scores less than this on a task is not measured on it at longer lengths.
    slack: tokens that an answer may take beyond those of the expected one. filler: prose to hide facts in; a filler of
    your own needs a name too, since rows with another one are not put together.
    """

    tasks: tuple[str, ...]
    methods: tuple[str, ...] = ("full",)
    lengths: tuple[int, ...] = (1024,)
    budget: str = "64MiB"
    questions: int = 100
    turns: int = 5
    modes: tuple[str, ...] = (MULTI_REQUEST,)
    history: str = "gold"
    baselines: bool = True
    stop_below: float = 0.0
    seed: int = 0
    slack: int = 24
    filler: Filler = Synthetic()  # noqa: RUF009
    filler_name: str = SYNTHETIC

    def checked(self) -> Plan:
        """The same with methods, modes, lengths and budget in their normal form. Raises UsageError for what is none."""
        from farspan.readers import parse

        if wrong := [mode for mode in self.modes if mode not in MODES]:
            raise UsageError(f"there is no mode {wrong[0]!r}", fix=f"one or more of {', '.join(MODES)}")
        if self.history not in ("gold", "own"):
            raise UsageError(f"history {self.history!r} is unknown", fix="gold or own")
        amounts = [("questions", self.questions), ("turns", self.turns), *(("length", size) for size in self.lengths)]
        for name, amount in amounts:
            if amount < 1:
                raise UsageError(f"{name} {amount} measures nothing", fix="give 1 or more")
        if not isinstance(self.filler, Synthetic) and self.filler_name == SYNTHETIC:
            raise UsageError("the filler has no name", fix="give filler_name, such as the name of its file")
        if not self.tasks or not self.methods or not self.lengths:
            raise UsageError("there is nothing to measure", fix="name a task, a method and a length")
        for task in self.tasks:
            tasks.parse(task)
        served = ENDPOINT in self.methods
        return replace(
            self,
            modes=tuple(mode for mode in MODES if mode in self.modes),
            methods=tuple(dict.fromkeys(name if name == ENDPOINT else str(parse(name)) for name in self.methods)),
            lengths=tuple(sorted(set(self.lengths))),
            budget="" if served else str(Budget.parse(self.budget)),
        )

    def try_out(self) -> Plan:
        """The same, once a sample of every task could be drawn. Raises InputError and UsageError as `Task.try_out`."""
        for cell in {str(cell.task): cell for cell in self.cells()}.values():
            cell.task.try_out(cell.modes, self.filler)
        return self

    def cells(self) -> Iterator[Cell]:
        """Every task at its lengths, shortest first."""
        for task in {str(task): task for task in map(self._task, self.tasks)}.values():
            modes = tuple(mode for mode in self.modes if mode in task.card.modes) or task.card.modes[:1]
            for length in self.lengths if task.fits_a_length else (NATIVE,):
                yield Cell(task, length, modes, self.questions)

    def space(self, cell: Cell, count: Count, frame: Frame) -> Space:
        """The space that the samples of a cell must fit."""
        return Space(cell.length, count, self.filler, frame, cell.modes, self.slack)

    def identity(self) -> dict[str, Any]:
        """What must be the same for rows to be compared: it decides the samples and how they are asked."""
        return {"seed": self.seed, "slack": self.slack, "history": self.history, "filler": self.filler_name}

    def _task(self, expression: str) -> Task:
        """The task with as many turns as the plan says, where its expression does not; a file has what it has."""
        task = tasks.parse(expression)
        if "turns" in task.knobs or not task.takes("turns") or not task.fits_a_length:
            return task
        return tasks.get(task.name, **{**task.knobs, "turns": self.turns})
