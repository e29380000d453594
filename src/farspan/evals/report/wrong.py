"""Some wrong answers to look at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from farspan.evals.comparison import Subject
from farspan.evals.plan import FULL
from farspan.evals.report.names import Names, length_name, percent
from farspan.evals.summary import Row, scored

_SHOWN_CHARS = 280
_WRONG = 0.5


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong answer: by which method, where, what was asked, wanted and replied."""

    method: str
    number: int
    where: str
    query: str
    wanted: str
    reply: str


def wrong_answers(rows: Iterable[Row], names: Names) -> list[Wrong]:
    """One wrong answer of each method, at the longest length where it gave one."""
    worst: dict[Subject, Row] = {}
    for row in sorted(rows, key=lambda row: (-row["length"], row["sample"], row["turn"], row["mode"])):
        if scored(row) and row["context"] == FULL and row["score"] < _WRONG:
            worst.setdefault((row["method"], row["budget"]), row)
    return [_wrong(subject, worst[subject], names) for subject in names.subjects if subject in worst]


def _wrong(subject: Subject, row: Row, names: Names) -> Wrong:
    depth = "" if row["depth"] is None else f", depth {percent(row['depth'])}%"
    wanted = " | ".join(map(str, row["gold"])) or str(row["answer"])
    where = f"{length_name(row['length'])}{depth}"
    shown = [shortened(text) for text in (str(row["query"]), wanted, str(row["reply"]))]
    return Wrong(names.subjects[subject], names.number(subject), where, *shown)


def shortened(text: str) -> str:
    """A text on one line, and not too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN_CHARS else f"{flat[:_SHOWN_CHARS]} ..."
