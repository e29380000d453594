"""Two methods, or two runs, on the same questions: how far apart, and whether chance would do that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from farspan.errors import InputError
from farspan.evals.plan import FULL
from farspan.evals.statistics import Paired, holm, paired
from farspan.evals.summary import Row, latest, scored
from farspan.types import format_count

Subject = tuple[str, str]
"""A method and its budget."""

_Place = tuple[str, str, str]
_Questions = dict[tuple[Any, ...], Row]
_Match = Callable[[set[Subject], set[Subject]], list[tuple[Subject, Subject]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two subjects on a task, at one length or at all together (`length` None).

    paired: what came of it, None when no question was answered by both. left_out: questions that only one answered. p:
    the p value corrected for the number of comparisons made with it (Holm).
    """

    task: str
    context: str
    mode: str
    length: int | None
    first: Subject
    second: Subject
    paired: Paired | None
    left_out: int
    p: float = 1.0


def against(rows: Iterable[Row], baseline: str = FULL, *, by_length: bool = False) -> list[Comparison]:
    """Every method against `baseline` on the same questions over whole contexts, one comparison a task and mode.

    Nothing when the baseline was not measured. With several budgets, it is compared at the same one where it has it.
    """
    kept = [row for row in latest(rows) if row["context"] == FULL]
    first = [row for row in kept if row["method"] == baseline]
    second = [row for row in kept if row["method"] != baseline]
    return _compared(first, second, _against_baseline, by_length)


def compare(rows_a: Iterable[Row], rows_b: Iterable[Row], *, by_length: bool = False) -> list[Comparison]:
    """Run B against run A on the questions that both asked.

    The same method and budget are compared; where the runs share none, the same method; else each with each.
    Raises InputError when the runs share no question.
    """
    first, second = latest(rows_a), latest(rows_b)
    found = _compared(first, second, _same, by_length)
    if not any(one.paired for one in found):
        raise InputError(
            f"the runs share no question that both answered ({len(first):,} and {len(second):,} rows)",
            fix="run both with the same tasks, lengths, seed and tokenizer",
        )
    return found


def left_over(rows: Iterable[Row], found: Sequence[Comparison]) -> list[str]:
    """The tasks, methods and lengths of a run of which nothing was compared, in a comparison by length."""
    paired = [one for one in found if one.paired]
    tasks, lengths = {one.task for one in paired}, {one.length for one in paired}
    subjects = {subject for one in paired for subject in (one.first, one.second)}
    whole = [row for row in rows if row["context"] == FULL]
    return [
        *sorted({row["task"] for row in whole} - tasks),
        *(name_of(subject) for subject in sorted({(row["method"], row["budget"]) for row in whole} - subjects)),
        *(f"{format_count(length)} tokens" for length in sorted({row["length"] for row in whole} - lengths)),
    ]


def table(found: Sequence[Comparison]) -> list[list[str]]:
    """The comparisons for a reader, in points of 100, first the names of the columns."""
    head = "task,length,mode,first,second,questions,first scores,second scores,difference,wins,losses,p".split(",")
    return [head, *(_line(one) for one in found)]


def name_of(subject: Subject) -> str:
    """A subject as one string."""
    return " @ ".join(subject)


def points(share: float) -> str:
    """A difference in points of 100, with its sign: `-12.5`."""
    return f"{100 * share:+.1f}"


def _line(one: Comparison) -> list[str]:
    length = "all" if one.length is None else format_count(one.length)
    task = one.task if one.context == FULL else f"{one.task} ({one.context} of the context)"
    start = [task, length, one.mode, name_of(one.first), name_of(one.second)]
    pair = one.paired
    if pair is None:
        return [*start, "0", *["n/a"] * 6]
    difference = f"{points(pair.difference)} [{points(pair.low)}, {points(pair.high)}]"
    scores = [f"{100 * pair.first:.1f}", f"{100 * pair.second:.1f}"]
    return [*start, f"{pair.pairs:,}", *scores, difference, str(pair.wins), str(pair.losses), f"{one.p:.3g}"]


def _compared(first: Sequence[Row], second: Sequence[Row], match: _Match, by_length: bool) -> list[Comparison]:
    left, right = _placed(first), _placed(second)
    couples = match({subject for _, subject in left}, {subject for _, subject in right})
    found = [
        _comparison(place, a, b, length, left[place, a], right[place, b])
        for place in sorted({place for place, _ in left} & {place for place, _ in right})
        for a, b in couples
        if (place, a) in left and (place, b) in right
        for length in (_lengths(left[place, a], right[place, b]) if by_length else [None])
    ]
    return _corrected(found)


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    values = iter(holm(one.paired.p for one in found if one.paired))
    return [replace(one, p=next(values)) if one.paired else one for one in found]


def _placed(rows: Iterable[Row]) -> Mapping[tuple[_Place, Subject], _Questions]:
    """Rows by (task, context, mode) and subject, and there by question."""
    found: dict[tuple[_Place, Subject], _Questions] = defaultdict(dict)
    for row in rows:
        place, subject = (row["task"], row["context"], row["mode"]), (row["method"], row["budget"])
        found[place, subject][row["sample"], row["turn"], row["prompt_sha"]] = row
    return found


def _lengths(first: _Questions, second: _Questions) -> list[int]:
    return sorted({row["length"] for row in first.values()} & {row["length"] for row in second.values()})


def _comparison(
    place: _Place, a: Subject, b: Subject, length: int | None, first: _Questions, second: _Questions
) -> Comparison:
    task, context, mode = place
    asked = {key for key, row in (*first.items(), *second.items()) if length is None or row["length"] == length}
    both = sorted(key for key in asked if key in first and key in second)
    both = [key for key in both if scored(first[key]) and scored(second[key])]
    groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key in both:
        groups[key[0]].append((float(first[key]["score"]), float(second[key]["score"])))
    return Comparison(
        task=task,
        context=context,
        mode=mode,
        length=length,
        first=a,
        second=b,
        paired=paired(list(groups.values())) if groups else None,
        left_out=len(asked) - len(both),
    )


def _against_baseline(first: set[Subject], second: set[Subject]) -> list[tuple[Subject, Subject]]:
    """Each subject with the baseline of its own budget, or with every baseline where there is none."""
    return [
        (base, subject)
        for subject in sorted(second)
        for base in sorted(first)
        if base[1] == subject[1] or subject[1] not in {budget for _, budget in first}
    ]


def _same(first: set[Subject], second: set[Subject]) -> list[tuple[Subject, Subject]]:
    if both := first & second:
        return [(subject, subject) for subject in sorted(both)]
    couples = [(a, b) for a in sorted(first) for b in sorted(second)]
    return [(a, b) for a, b in couples if a[0] == b[0]] or couples
