"""Questions on tables as SQL: what sqlite answers over the rows that are told is the truth."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from farspan.tasks.kit.sample import Turn
from farspan.tasks.material.domains import Tables

_SCHEMA = """
CREATE TABLE thing (name TEXT PRIMARY KEY, kind TEXT, place TEXT, amount INTEGER);
CREATE TABLE place (place TEXT PRIMARY KEY, region TEXT);
"""
_TOLERANCE = 0.005
_THOSE = "thing WHERE kind = :kind AND amount BETWEEN :low AND :high"


@dataclass(frozen=True, slots=True)
class Query:
    """A kind of question. `sides` are the ways in which amounts are limited; `joined` needs the auxiliary table.

    `tolerance` is set where the answer is one number: the share that it may be off.
    """

    sql: str
    words: str
    sides: tuple[str, ...] = ("above", "below")
    joined: bool = False
    tolerance: float | None = None


QUERIES: Mapping[str, Query] = {
    "filter": Query(
        f"SELECT name, amount FROM {_THOSE} ORDER BY name",
        "List the {those}, one a line, as: name | {amount}",
    ),
    "max": Query(
        f"SELECT name, amount FROM {_THOSE} ORDER BY amount DESC LIMIT 1",
        "Of the {those}, which has the largest number of {amount}? Answer with one line: name | {amount}",
        sides=("below",),
    ),
    "min": Query(
        f"SELECT name, amount FROM {_THOSE} ORDER BY amount LIMIT 1",
        "Of the {those}, which has the smallest number of {amount}? Answer with one line: name | {amount}",
        sides=("above",),
    ),
    "count": Query(
        f"SELECT COUNT(*) FROM {_THOSE}",
        "How many {those} are there? Answer with the number alone.",
        tolerance=0.0,
    ),
    "average": Query(
        f"SELECT ROUND(AVG(amount), 2) FROM {_THOSE}",
        "What is the average number of {amount} of the {those}? Answer with the number alone.",
        tolerance=_TOLERANCE,
    ),
    "sum": Query(
        f"SELECT SUM(amount) FROM {_THOSE}",
        "What does the number of {amount} of the {those} sum up to? Answer with the number alone.",
        tolerance=_TOLERANCE,
    ),
    "group": Query(
        f"SELECT place, SUM(amount) FROM {_THOSE} GROUP BY place ORDER BY place",
        "Sum up the {amount} of the {those} for each {where}, one a line, as: {where} | sum",
    ),
    "join": Query(
        "SELECT name, region FROM thing JOIN place USING (place)"
        " WHERE kind = :kind AND amount BETWEEN :low AND :high ORDER BY name",
        "List the {those} with the {region} of their {where}, one a line, as: name | {region}",
        joined=True,
    ),
    "difference": Query(
        f"SELECT place FROM place EXCEPT SELECT place FROM {_THOSE} ORDER BY place",
        "Which {where} has a stated {region} but none of the {those}? Answer with one {where} a line.",
        joined=True,
    ),
}
"""The kinds of questions by name."""


def questions(rng: random.Random, tables: Tables, kind: str, turns: int) -> list[Turn]:
    """Up to `turns` questions that differ in the limit on the amount; each has an answer of a row at least."""
    query = QUERIES[kind]
    asked: list[Turn] = []
    with closing(sqlite3.connect(":memory:")) as base:
        base.executescript(_SCHEMA)
        base.executemany("INSERT INTO thing VALUES (?, ?, ?, ?)", [*tables.relevant, *tables.rest])
        base.executemany("INSERT INTO place VALUES (?, ?)", tables.places)
        for side, limit in _limits(rng, tables, query):
            low, high = (limit + 1, 10**9) if side == "above" else (-1, limit - 1)
            gold = base.execute(query.sql, {"kind": tables.kind, "low": low, "high": high}).fetchall()
            if gold:
                asked.append(_turn(tables, query, side, limit, [" | ".join(map(str, row)) for row in gold]))
            if len(asked) == turns:
                break
    return asked


def _limits(rng: random.Random, tables: Tables, query: Query) -> list[tuple[str, int]]:
    """All limits that let another number of relevant rows through, at least one, in random order."""
    amounts = sorted(row.amount for row in tables.relevant)
    above = [("above", limit) for limit in (amounts[0] - 1, *amounts[:-1])]
    below = [("below", limit) for limit in (*amounts[1:], amounts[-1] + 1)]
    every = [limit for limit in above + below if limit[0] in query.sides]
    return rng.sample(every, len(every))


def _turn(tables: Tables, query: Query, side: str, limit: int, gold: list[str]) -> Turn:
    domain = tables.domain
    those = f"{domain.those.format(kind=tables.kind)} whose number of {domain.amount} is {side} {limit}"
    text = query.words.format(those=those, amount=domain.amount, where=domain.where, region=domain.region)
    if query.tolerance is not None:
        return Turn(text, f" {gold[0]}", scorer="last_number", options={"tolerance": query.tolerance})
    return Turn(text, " " + "\n".join(gold), tuple(gold), "rows_f1")
