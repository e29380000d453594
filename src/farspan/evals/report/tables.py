"""Tables as plain values, written as HTML and as Markdown alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from farspan.evals.comparison import Subject
from farspan.evals.report.names import Names, spread


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a table.

    css: classes of the style sheet. tip: the hover title. mark: a method's number, whose glyph stands before the text.
    owner: the method whose column it stands in. bar: (low, middle, high), shares of the width, drawn as an interval.
    stack: shares of the width, drawn side by side.
    """

    text: str
    css: str = ""
    tip: str = ""
    mark: int | None = None
    owner: int | None = None
    bar: tuple[float, float, float] | None = None
    stack: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A row of a table; the page can hide it with its task or method."""

    fields: Sequence[Field]
    task: str | None = None
    method: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `words` columns from the left hold words, the rest numbers."""

    header: Sequence[Field]
    records: Sequence[Record]
    words: int = 1

    @property
    def plain(self) -> list[list[Field]]:
        """Header and rows without the columns that only draw what others say in numbers."""
        drawn = {place for record in self.records for place, one in enumerate(record.fields) if one.bar or one.stack}
        lines = [self.header, *(record.fields for record in self.records)]
        return [[one for place, one in enumerate(line) if place not in drawn] for line in lines]


def heads(names: Iterable[str]) -> list[Field]:
    """The header of columns with these names."""
    return [Field(name) for name in names]


def method_field(subject: Subject, names: Names) -> Field:
    """A method with its mark."""
    return Field(names.subjects[subject], "method", "", names.number(subject))


def spread_field(cell: dict[str, Any] | None) -> Field:
    """A cell's score and interval, or that it failed, or was not measured."""
    if cell is None:
        return Field("\u2013", "faint", "not measured")
    if cell["score"] is None:
        return Field("failed", "bad", str(cell["reason"]))
    tip = f"{cell['questions']:,} questions on {cell['contexts']:,} contexts"
    return Field(
        spread(cell), "nowrap", tip + (f"; {cell['failed']:,} failed: {cell['reason']}" if cell["failed"] else "")
    )
