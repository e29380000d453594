"""The runner: each context is read once, before its questions are known, and asked in every mode; rows are kept."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from farspan.errors import UsageError
from farspan.evals.plan import EVIDENCE, FULL, Cell, Plan
from farspan.evals.results import Answered, Results, Row
from farspan.evals.rows import row_of
from farspan.evals.subjects import Reading, Reply, Subject
from farspan.evals.units import CONVERSATION, Unit, is_conversation, prompt_sha, reason, units
from farspan.tasks import Sample, Turn
from farspan.tasks.kit.card import MULTI_TURN

Tell = Callable[[str], None]


@dataclass(slots=True)
class Outcome:
    """How a run ended.

    answered: questions answered now. kept: those that were there already. errors: why others failed, and how many did.
    left_out: cells that were not measured. refused: methods that cannot run on this model and budget, and why.
    """

    answered: int = 0
    kept: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """How many questions failed."""
        return self.errors.total()


def run(plan: Plan, subject: Subject, results: Results, tell: Tell = lambda _: None) -> Outcome:
    """Measure all that the folder does not hold yet. What fails becomes rows that say why, to be tried again; where it
    was answered before, it stays so.

    `tell` is called with a line before each context. Raises UsageError when the folder holds other questions under the
    same names, and KeyboardInterrupt at once; what was measured is kept.
    """
    outcome, answered = Outcome(), results.answered()
    methods_of: dict[str, list[str]] = {}
    for cell in plan.cells():
        _check_fit(results, cell)
        first = str(cell.task) not in methods_of
        methods = methods_of.setdefault(str(cell.task), list(plan.methods))
        outcome.left_out += [
            f"{cell.task} at {cell.length:,} tokens: {method}" for method in plan.methods if method not in methods
        ]
        for unit in units(plan, cell, subject, methods, baselines=plan.baselines and first):
            kept = answered.get((unit.name, unit.method, plan.budget, unit.context), {})
            if kept and unit.failure:
                outcome.kept += len(kept)
                outcome.errors[unit.failure] += 1
                continue
            modes = _unasked(unit, kept, results)
            outcome.kept += len(unit.sample.turns) * (len(unit.cell.modes) - len(modes))
            if not modes:
                continue
            tell(_line(unit))
            rows = _measure(plan, replace(unit, cell=replace(unit.cell, modes=modes)), subject)
            results.add(rows)
            outcome.answered += sum(not row["error"] for row in rows)
            outcome.errors.update(str(row["error"]) for row in rows if row["error"])
        if plan.stop_below:
            methods_of[str(cell.task)] = [name for name in methods if _holds(plan, results, cell, name)]
    return outcome


def _check_fit(results: Results, cell: Cell) -> None:
    """Samples with room for a conversation are others than those without: a folder holds one kind of a task."""
    for row in results:
        same = row["task"] == str(cell.task) and row["length"] == cell.length
        if same and row["sample"].endswith(CONVERSATION) != is_conversation(cell):
            raise UsageError(
                f"{results.folder} holds {cell.task} {'without' if is_conversation(cell) else 'with'} room for a "
                "conversation",
                fix="ask in the same --modes as there, or give another folder with -o",
            )


def _unasked(unit: Unit, kept: Answered, results: Results) -> tuple[str, ...]:
    """The modes in which a context is to be asked yet. Raises UsageError when it was asked something else."""
    hashes = dict(enumerate(prompt_sha(unit.sample, turn) for turn in unit.sample.turns)) if kept else {}
    if any(hashes.get(place) != known for (_, place), known in kept.items()):
        raise UsageError(
            f"{results.folder} holds other questions under the name {unit.name}",
            fix="its file or generator has changed since: give another folder with -o",
        )
    every = range(len(unit.sample.turns))
    return tuple(mode for mode in unit.cell.modes if any((mode, place) not in kept for place in every))


def _line(unit: Unit) -> str:
    cell = unit.cell
    length = f"{cell.length:,} tokens" if cell.length else "as long as it is"
    kind = "" if unit.context == FULL else f", {unit.context} of the context"
    return f"{cell.task}, {length}, context {unit.number + 1}, {unit.method}{kind}"


def _holds(plan: Plan, results: Results, cell: Cell, method: str) -> bool:
    """Whether a method scored enough in a cell to go on to longer ones; also when nothing there could be scored."""
    wanted = (str(cell.task), cell.length, method, plan.budget, FULL)
    names = ("task", "length", "method", "budget", "context")
    scores = [row["score"] for row in results if tuple(row[name] for name in names) == wanted and not row["error"]]
    return not scores or sum(scores) / len(scores) >= plan.stop_below


def _measure(plan: Plan, unit: Unit, subject: Subject) -> list[Row]:
    """The rows of one context; when it cannot be made, read or asked, rows that say why."""
    if unit.failure:
        return _failed(plan, unit, unit.failure, 0.0)
    began = time.perf_counter()
    try:
        return _asked(plan, unit, subject)
    except Exception as error:
        return _failed(plan, unit, reason(error), time.perf_counter() - began)


def _failed(plan: Plan, unit: Unit, why: str, seconds: float) -> list[Row]:
    return [
        row_of(plan, unit, mode, place, None, (seconds, 0.0), why)
        for mode in unit.cell.modes
        for place in range(len(unit.sample.turns))
    ]


def _asked(plan: Plan, unit: Unit, subject: Subject) -> list[Row]:
    every = tuple(range(len(unit.sample.turns)))
    if unit.context == EVIDENCE:
        texts = [(_evidence(unit.sample, unit.sample.turns[place]), every[place : place + 1]) for place in every]
    else:
        texts = [(unit.sample.document if unit.context == FULL else "", every)]
    return [row for text, places in texts for row in _read_and_ask(plan, unit, subject, text, places)]


def _read_and_ask(plan: Plan, unit: Unit, subject: Subject, text: str, places: tuple[int, ...]) -> list[Row]:
    began = time.perf_counter()
    rows = []
    with subject.read(text, unit.method, plan.budget) as reading:
        read_s = time.perf_counter() - began
        for mode in unit.cell.modes:
            began = time.perf_counter()
            replies = _replies(reading, mode, [unit.sample.turns[place] for place in places], plan.history)
            each = (time.perf_counter() - began) / max(1, len(places))
            rows += [
                row_of(plan, unit, mode, place, reply, (read_s, each), None)
                for place, reply in zip(places, replies, strict=True)
            ]
    return rows


def _replies(reading: Reading, mode: str, turns: list[Turn], history: str) -> list[Reply]:
    if mode == MULTI_TURN:
        return reading.converse(tuple(turns), history)
    return [reading.ask(turn) for turn in turns]


def _evidence(sample: Sample, turn: Turn) -> str:
    """The passages that a turn needs and nothing else; the whole context where it needs that."""
    passages = [sample.segments[span.segment].text[span.start : span.end] for span in turn.evidence]
    return "\n".join(dict.fromkeys(passages)) or sample.document
