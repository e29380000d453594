"""Tables of what an answer took: where the tokens went, how long it lasted, what went wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from farspan.evals.comparison import Subject
from farspan.evals.plan import FULL
from farspan.evals.report.curves import by_subject, chosen
from farspan.evals.report.names import Names, amount, length_name, percent, size
from farspan.evals.report.tables import Field, Record, Table, heads, method_field
from farspan.evals.report.wrong import shortened
from farspan.evals.summary import Cell, Row, scored
from farspan.types import TIERS

_TOKENS = ("seen", "kept", "stored", "dropped")
_ACCOUNT = ("method", "length", "read", "on the device", "stored", "dropped", "kept | stored | dropped", "fetched")
_TIMES = ("method", "length", "tokens read a second", "seconds an answer", "reads", "answers")
_REPLIES = ("method", "asked", "failed", "unreadable", "cut off", "source held the answer")
_FAILURES = ("task", "method", "length", "questions")


def account_table(cells: Sequence[Cell], names: Names, mode: str) -> Table:
    """Where a method's tokens and bytes are once a context has been read and a question answered; means over tasks."""
    records = []
    for subject, line in by_subject(chosen(cells, mode), names).items():
        for length in sorted({cell["length"] for cell in line}):
            same = [cell for cell in line if cell["length"] == length and cell["seen"] is not None]
            if same:
                fields = [method_field(subject, names), Field(length_name(length)), *_account_fields(same)]
                records.append(Record(fields, method=names.number(subject)))
    return Table(heads([*_ACCOUNT, *TIERS, "exact"]), records, 2)


def timing_table(rows: Iterable[Row], names: Names) -> Table:
    """Medians: tokens read a second, one measurement a context, and seconds an answer."""
    found: dict[tuple[Subject, int], list[Row]] = defaultdict(list)
    for row in rows:
        if scored(row) and row["context"] == FULL:
            found[(row["method"], row["budget"]), row["length"]].append(row)
    records = []
    for subject, length in sorted(found, key=lambda one: (names.number(one[0]), one[1])):
        answered = found[subject, length]
        reads: dict[str, Row] = {}
        for row in answered:
            first = reads.get(row["sample"], row)
            if row["read_s"] and row["context_tokens"] and row["context_tokens"] <= (first["context_tokens"] or 0):
                reads[row["sample"]] = row
        speed = f"{median(row['context_tokens'] / row['read_s'] for row in reads.values()):,.0f}" if reads else "n/a"
        answer = f"{median(float(row['answer_s'] or 0) for row in answered):.3f}"
        fields = [method_field(subject, names), Field(length_name(length)), Field(speed), Field(answer)]
        counts = [Field(f"{len(reads):,}"), Field(f"{len(answered):,}")]
        records.append(Record([*fields, *counts], method=names.number(subject)))
    return Table(heads(_TIMES), records, 2)


def reply_table(rows: Iterable[Row], names: Names) -> Table:
    """For each method: questions asked and failed, replies unreadable or cut off, sources that held the answer."""
    found: dict[Subject, list[Row]] = defaultdict(list)
    for row in rows:
        if row["context"] == FULL:
            found[row["method"], row["budget"]].append(row)
    records = []
    for subject in (one for one in names.subjects if one in found):
        asked = found[subject]
        answered = [row for row in asked if scored(row)]
        counts = [len(asked), len(asked) - len(answered)]
        counts += [sum(bool(row[name]) for row in answered) for name in ("null", "truncated")]
        fields = [Field(f"{count:,}", "" if count else "faint") for count in counts]
        record = [method_field(subject, names), *fields, _sourced_field(answered)]
        records.append(Record(record, method=names.number(subject)))
    return Table(heads(_REPLIES), records)


def failure_table(rows: Iterable[Row], names: Names) -> Table:
    """What failed, where and why; empty when nothing did."""
    failed: dict[tuple[str, Subject, int, str], Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["error"]:
            failed[row["task"], (row["method"], row["budget"]), row["length"], row["context"]][str(row["error"])] += 1
    order = sorted(failed, key=lambda one: (list(names.tasks).index(one[0]), names.number(one[1]), one[2], one[3]))
    records = []
    for task, subject, length, context in order:
        for reason, count in sorted(failed[task, subject, length, context].items()):
            part = "" if context == FULL else f" ({context} of the context)"
            fields = [Field(f"{names.tasks[task]}{part}"), method_field(subject, names), Field(length_name(length))]
            fields += [Field(f"{count:,}"), Field(shortened(reason), "words")]
            records.append(Record(fields, task, names.number(subject)))
    return Table([*heads(_FAILURES), Field("reason", "words")], records, 3)


def _sourced_field(answered: Iterable[Row]) -> Field:
    known = [bool(row["sourced"]) for row in answered if row["sourced"] is not None]
    return Field(f"{percent(sum(known) / len(known))}%", "", f"of {len(known):,}") if known else Field("n/a", "faint")


def _account_fields(cells: Sequence[Cell]) -> list[Field]:
    means = {
        name: round(sum(cell[name] for cell in cells) / len(cells))
        for name in (*_TOKENS, "fetched", *(f"{tier}_bytes" for tier in TIERS))
    }
    whole = max(1, means["kept"] + means["stored"] + means["dropped"])
    shares = tuple(means[name] / whole for name in ("kept", "stored", "dropped"))
    exact = sum(cell["exact"] for cell in cells) / len(cells)
    return [
        *(Field(amount(means[name])) for name in _TOKENS),
        Field("", "plot", " / ".join(f"{percent(share)}%" for share in shares), stack=shares),
        Field(amount(means["fetched"])),
        *(Field(size(means[f"{tier}_bytes"])) for tier in TIERS),
        Field(f"{percent(exact)}%"),
    ]
