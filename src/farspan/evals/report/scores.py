"""Tables of scores: each task's, effective lengths, methods against full attention, and the baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from farspan.evals import effective
from farspan.evals.comparison import Comparison, name_of, points
from farspan.evals.plan import FULL
from farspan.evals.report.curves import by_subject, chosen
from farspan.evals.report.names import Names, length_name, percent
from farspan.evals.report.tables import Field, Record, Table, heads, method_field, spread_field
from farspan.evals.summary import KEY, Cell

SURE, LEAST_P = 0.05, 0.0001
_PAIRED = ("questions", "full \u2192 method", "difference [95%]", "won\u2013lost", "p", "detectable")
_BASELINES = ("task", "asked by", "length", "no context", "evidence alone", "whole context")


def numbers(cells: Sequence[Cell], task: str, mode: str, names: Names) -> Table:
    """One task's scores with intervals, methods by lengths, and how many questions stand behind them."""
    asked = chosen(cells, mode, task)
    lengths = sorted({cell["length"] for cell in asked})
    records = []
    for subject, line in by_subject(asked, names).items():
        measured = {cell["length"]: cell for cell in line}
        fields = [spread_field(measured.get(length)) for length in lengths]
        least = min(cell["questions"] for cell in line)
        most = max(cell["questions"] for cell in line)
        count = f"{most:,}" if least == most else f"{least:,}\u2013{most:,}"
        contexts = max(cell["contexts"] for cell in line)
        row = [method_field(subject, names), *fields, Field(count), Field(f"{contexts:,}")]
        records.append(Record(row, task, names.number(subject)))
    return Table(heads(["method", *map(length_name, lengths), "questions", "contexts"]), records)


def effective_table(cells: Iterable[Cell], names: Names, mode: str) -> Table:
    """The longest length that each method holds, by both bars: `8K / 16K`."""
    found = {
        (one.task, (one.method, one.budget)): one for one in effective.effective_lengths(cells) if one.mode == mode
    }
    shown = [task for task in names.tasks if any(key[0] == task for key in found)]
    records = []
    for task in shown:
        fields = [_effective_field(found.get((task, one)), names.number(one)) for one in names.subjects]
        records.append(Record([Field(str(names.tasks[task])), *fields], task))
    columns = [Field(name, owner=names.number(subject)) for subject, name in names.subjects.items()]
    return Table([Field("task"), *columns], records)


def paired_table(compared: Sequence[Comparison], mode: str, names: Names) -> Table:
    """Each method against full attention on the same questions, asked in one way."""
    place = {task: number for number, task in enumerate(names.tasks)}
    found = [one for one in compared if one.mode == mode]
    found.sort(key=lambda one: (place[one.task], one.length or 0, names.number(one.second)))
    by_length = any(one.length is not None for one in found)
    reach = _reach(found)
    words = ["task", *(["length"] if by_length else []), "method"]
    scale = f"\u2212{100 * reach:.0f} \u2026 0 \u2026 +{100 * reach:.0f}"
    records = []
    for one in found:
        fields = [Field(str(names.tasks[one.task])), *([Field(length_name(one.length or 0))] if by_length else [])]
        fields += [method_field(one.second, names), *_paired_fields(one, reach)]
        records.append(Record(fields, one.task, names.number(one.second)))
    return Table(heads([*words, *_PAIRED[:3], scale, *_PAIRED[3:]]), records, len(words))


def baseline_table(cells: Sequence[Cell], names: Names) -> Table:
    """What is answered without the context, and from the evidence alone, beside the whole context at that length."""
    by_key = {tuple(cell[name] for name in KEY): cell for cell in cells}
    asked = sorted({key[:1] + key[2:] for key in by_key if key[1] != FULL})
    shortest = {task: min(rest[-1] for other, *rest in asked if other == task) for task, *_ in asked}
    asked = [key for key in asked if key[-1] == shortest[key[0]]]
    records = []
    for task, *rest in sorted(asked, key=lambda one: (list(names.tasks).index(one[0]), one)):
        whole = [(task, FULL, mode, *rest[1:]) for mode in (rest[0], *names.modes)]
        found = [by_key.get((task, context, *rest)) for context in ("none", "evidence")]
        found.append(next((by_key[key] for key in whole if key in by_key), None))
        subject = (rest[1], rest[2])
        words = [Field(str(names.tasks[task])), method_field(subject, names), Field(length_name(rest[3]))]
        records.append(Record([*words, *map(spread_field, found)], task, names.number(subject)))
    return Table(heads(_BASELINES), records, 3)


def _effective_field(one: effective.EffectiveLength | None, owner: int) -> Field:
    if one is None:
        return Field("\u2013", "faint", "not measured", owner=owner)
    base = "failed" if one.base is None else percent(one.base)
    tip = f"scores {base} at {length_name(one.shortest)}"
    if one.absolute is None:
        return Field(f"n/a (base {base})", "faint", f"{tip}: below the gate", owner=owner)
    return Field(f"{one.shown(one.absolute)} / {one.shown(one.relative)}", "nowrap", tip, owner=owner)


def _reach(found: Sequence[Comparison]) -> float:
    """How far the drawn intervals go to both sides of 0, in quarters."""
    ends = [abs(end) for one in found if one.paired for end in (one.paired.low, one.paired.high)]
    return min(1.0, math.ceil(4 * max(ends, default=1.0)) / 4) or 0.25


def _paired_fields(one: Comparison, reach: float) -> list[Field]:
    pair = one.paired
    if pair is None:
        tip = f"{one.left_out:,} questions were answered by one of the two only"
        return [Field("0", "faint", tip), *[Field("n/a", "faint")] * (len(_PAIRED))]
    difference = f"{points(pair.difference)} [{points(pair.low)}, {points(pair.high)}]"
    left_out = f"; {one.left_out:,} more were answered by one of the two only" if one.left_out else ""
    sure = one.p < SURE and not pair.low <= 0 <= pair.high
    verdict = ("better" if pair.difference > 0 else "worse") if sure else ""
    low, middle, high = ((value / reach + 1) / 2 for value in (pair.low, pair.difference, pair.high))
    return [
        Field(f"{pair.pairs:,}", "", f"on {pair.contexts:,} contexts{left_out}"),
        Field(f"{100 * pair.first:.1f} \u2192 {100 * pair.second:.1f}", "nowrap", f"from {name_of(one.first)}"),
        Field(difference, f"nowrap {verdict}", verdict and f"{verdict} than full attention"),
        Field("", "plot", difference, bar=(low, middle, high)),
        Field(f"{pair.wins}\u2013{pair.losses}", "nowrap"),
        Field(f"{one.p:.2g}" if one.p >= LEAST_P else f"< {LEAST_P}", "nowrap", f"{pair.p:.3g} uncorrected"),
        Field(f"{100 * pair.detectable:.1f}"),
    ]
