"""What is to be measured, context by context: the same samples for every method, until there are questions enough."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from farspan.evals.plan import BASELINES, FULL, Cell, Plan
from farspan.evals.subjects import Subject
from farspan.tasks import Sample, Space, Turn
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN

_PATIENCE = 3
_NOTHING = Sample((), (Turn("", ""),))
CONVERSATION = "|conversation"
"""Ends the names of samples that leave room for all of their turns: they are others than those that do not."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One context as one method is to read it: whole (FULL), not at all (NONE), or its evidence alone (EVIDENCE).

    failure: why there is no sample, where none could be made.
    """

    cell: Cell
    number: int
    name: str
    method: str
    context: str
    sample: Sample
    failure: str = ""


def units(plan: Plan, cell: Cell, subject: Subject, methods: Sequence[str], *, baselines: bool) -> Iterator[Unit]:
    """Contexts until there are questions enough, each for every method; and for the baselines where they are wanted."""
    if not methods:
        return
    asked = 0
    for number, (sample, failure) in enumerate(_samples(plan, cell, subject)):
        name = f"{cell.task}|{cell.task.card.version}|{cell.length}|{plan.seed}|{number}"
        name += CONVERSATION if is_conversation(cell) else ""
        for method in methods:
            yield Unit(cell, number, name, method, FULL, sample, failure)
        for context in BASELINES if baselines and not failure else ():
            yield Unit(replace(cell, modes=(MULTI_REQUEST,)), number, name, plan.methods[0], context, sample)
        asked += len(sample.turns)
        if asked >= cell.questions:
            return


def is_conversation(cell: Cell) -> bool:
    """Whether samples are made to hold a whole conversation."""
    return MULTI_TURN in cell.modes and cell.task.fits_a_length


def prompt_sha(sample: Sample, turn: Turn) -> str:
    """A hash of a context and a question on it."""
    digest = hashlib.sha256()
    for part in (*(segment.text for segment in sample.segments), "\x00", turn.query, "\x00", turn.prefix):
        digest.update(part.encode(errors="surrogatepass"))
    return digest.hexdigest()[:32]


def reason(error: Exception) -> str:
    """What goes into a row that failed."""
    return f"{type(error).__name__}: {error}"


def _samples(plan: Plan, cell: Cell, subject: Subject) -> Iterator[tuple[Sample, str]]:
    """The samples of a cell; for one that cannot be made, an empty one and the reason. Several in a row end it."""
    space = plan.space(cell, subject.count, subject.frame)
    if not cell.task.fits_a_length:
        yield from _read(cell, plan.seed, space)
        return
    failed = 0
    for number in range(cell.questions):
        try:
            sample, failure = cell.task.sample(number, seed=plan.seed, space=space), ""
        except Exception as error:
            sample, failure = _NOTHING, reason(error)
        yield sample, failure
        failed = failed + 1 if failure else 0
        if failed == _PATIENCE:
            return


def _read(cell: Cell, seed: int, space: Space) -> Iterator[tuple[Sample, str]]:
    try:
        for sample in cell.task.samples(cell.questions, seed=seed, space=space):
            yield sample, ""
    except Exception as error:
        yield _NOTHING, reason(error)
