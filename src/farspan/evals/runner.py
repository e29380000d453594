"""The runner: the same samples for every method, each context read once and asked in every mode."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from farspan.errors import FarspanError
from farspan.evals.plan import BASELINES, EVIDENCE, FULL, Cell, Plan
from farspan.evals.results import Results, Row
from farspan.evals.rows import Unit, row_of
from farspan.evals.subjects import Reading, Reply, Subject
from farspan.tasks import Sample, Turn
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN

Tell = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """How a run ended: questions answered now, those that were there already, those that failed, cells left out."""

    answered: int = 0
    kept: int = 0
    failed: int = 0
    left_out: list[str] = field(default_factory=list)


def run(plan: Plan, subject: Subject, results: Results, tell: Tell = lambda _: None) -> Outcome:
    """Measure all that the folder does not hold yet. What fails becomes rows that say why, to be tried again.

    `tell` is called with a line before each context. Raises KeyboardInterrupt at once; what was measured is kept.
    """
    outcome, done = Outcome(), results.complete()
    held: dict[str, list[str]] = {}
    for cell in plan.cells():
        first = str(cell.task) not in held
        methods = held.setdefault(str(cell.task), list(plan.methods))
        outcome.left_out += [
            f"{cell.task} at {cell.length:,} tokens: {method}" for method in plan.methods if method not in methods
        ]
        for unit in _units(plan, cell, subject, methods, with_baselines=plan.baselines and first):
            if (unit.name, unit.method, plan.budget, unit.context) in done:
                outcome.kept += len(unit.sample.turns) * len(unit.cell.modes)
                continue
            tell(_line(unit))
            rows = _measure(plan, unit, subject)
            results.add(rows)
            outcome.answered += sum(not row["error"] for row in rows)
            outcome.failed += sum(bool(row["error"]) for row in rows)
        if plan.stop_below:
            held[str(cell.task)] = [name for name in methods if _mean(results, cell, name) >= plan.stop_below]
    return outcome


def _line(unit: Unit) -> str:
    cell = unit.cell
    length = f"{cell.length:,} tokens" if cell.length else "as long as it is"
    kind = "" if unit.context == FULL else f", {unit.context} of the context"
    return f"{cell.task}, {length}, context {unit.number + 1}, {unit.method}{kind}"


def _mean(results: Results, cell: Cell, method: str) -> float:
    """A method's mean score in a cell."""
    scores = [
        row["score"] or 0.0
        for row in results
        if (row["task"], row["length"], row["method"], row["context"]) == (str(cell.task), cell.length, method, FULL)
    ]
    return sum(scores) / max(1, len(scores))


def _units(plan: Plan, cell: Cell, subject: Subject, methods: list[str], *, with_baselines: bool) -> Iterator[Unit]:
    """Contexts until there are questions enough, each for every method."""
    if not methods:
        return
    asked = 0
    for number, (sample, failure) in enumerate(_samples(plan, cell, subject)):
        name = "|".join(
            str(part)
            for part in (cell.task, cell.task.card.version, cell.length, plan.seed, number, "+".join(cell.modes))
        )
        for method in methods:
            yield Unit(cell, number, name, method, FULL, sample, failure)
        for context in BASELINES if with_baselines and not failure else ():
            yield Unit(replace(cell, modes=(MULTI_REQUEST,)), number, name, plan.methods[0], context, sample)
        asked += len(sample.turns)
        if asked >= cell.questions:
            return


def _samples(plan: Plan, cell: Cell, subject: Subject) -> Iterator[tuple[Sample, str]]:
    """The samples of a cell; where one cannot be made, an empty one and the reason."""
    space = plan.space(cell, subject.count, subject.frame)
    try:
        for sample in cell.task.samples(cell.questions, seed=plan.seed, space=space):
            yield sample, ""
    except (FarspanError, OSError) as error:
        yield Sample((), (Turn("", ""),)), _reason(error)


def _measure(plan: Plan, unit: Unit, subject: Subject) -> list[Row]:
    """The rows of one context; when it cannot be read or asked, rows that say why."""
    began = time.perf_counter()
    if unit.failure:
        return [row_of(plan, unit, mode, 0, None, (0.0, 0.0), unit.failure) for mode in unit.cell.modes]
    try:
        if unit.context == EVIDENCE:
            return [
                row
                for number in range(len(unit.sample.turns))
                for row in _read_and_ask(plan, unit, subject, _evidence(unit.sample, number), (number,))
            ]
        text = unit.sample.document if unit.context == FULL else ""
        return _read_and_ask(plan, unit, subject, text, tuple(range(len(unit.sample.turns))))
    except (FarspanError, RuntimeError, MemoryError, OSError, ValueError) as error:
        spent = time.perf_counter() - began
        return [
            row_of(plan, unit, mode, number, None, (spent, 0.0), _reason(error))
            for mode in unit.cell.modes
            for number in range(len(unit.sample.turns))
        ]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read_and_ask(plan: Plan, unit: Unit, subject: Subject, text: str, asked: tuple[int, ...]) -> list[Row]:
    began = time.perf_counter()
    rows = []
    with subject.read(text, unit.method, plan.budget) as reading:
        read_s = time.perf_counter() - began
        for mode in unit.cell.modes:
            began = time.perf_counter()
            replies = _replies(reading, mode, [unit.sample.turns[number] for number in asked], plan.history)
            each = (time.perf_counter() - began) / max(1, len(asked))
            rows += [
                row_of(plan, unit, mode, number, reply, (read_s, each), None)
                for number, reply in zip(asked, replies, strict=True)
            ]
    return rows


def _replies(reading: Reading, mode: str, turns: list[Turn], history: str) -> list[Reply]:
    if mode == MULTI_TURN:
        return reading.converse(tuple(turns), history)
    return [reading.ask(turn) for turn in turns]


def _evidence(sample: Sample, number: int) -> str:
    """The passages that a turn needs and nothing else; the whole context where it needs that."""
    turn = sample.turns[number]
    passages = [sample.segments[span.segment].text[span.start : span.end] for span in turn.evidence]
    return "\n".join(dict.fromkeys(passages)) or sample.document
