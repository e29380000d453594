"""Tables: rows are read back from the sentences, and plain loops over them give what the queries give."""

from __future__ import annotations

import random
import re
from collections import defaultdict

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks.material import domains
from farspan.tasks.material.domains import DOMAINS, Domain
from farspan.tasks.material.queries import QUERIES

WORD = re.compile(r"\s+|\w+|[^\w\s]")
NAME = r"[A-Z]\w+ [A-Z]\w+"


def count(text: str) -> int:
    return sum(1 for token in WORD.findall(text) if token != " ")


def draw(number: int, length: int = 1000, **knobs: object) -> tasks.Sample:
    return tasks.get("tables", **knobs).sample(number, seed=8, space=tasks.Space(length, count))


def pattern(sentence: str) -> re.Pattern[str]:
    parts = {"name": NAME, "kind": "[a-z]+", "place": "[A-Z][a-z]+", "amount": r"\d+", "region": "[A-Za-z ]+"}
    return re.compile(re.sub(r"\\{(\w+)\\}", lambda found: f"(?P<{found[1]}>{parts[found[1]]})", re.escape(sentence)))


class Reader:
    """The rows that a text tells of, whatever the domain, and the row that a query limits."""

    def __init__(self, text: str) -> None:
        told: dict[str, list[dict[str, str]]] = {}
        for domain in DOMAINS:
            told[domain.thing] = [match.groupdict() for match in pattern(domain.thing).finditer(text)]
        self.domain: Domain = max(DOMAINS, key=lambda domain: len(told[domain.thing]))
        self.things = told[self.domain.thing]
        self.places = {row["place"]: row["region"] for row in (one for one in self._places(text))}

    def _places(self, text: str) -> list[dict[str, str]]:
        return [match.groupdict() for match in pattern(self.domain.place).finditer(text)]

    def kind(self, query: str) -> str:
        (kind,) = [kind for kind in self.domain.kinds if self.domain.those.format(kind=kind) in query]
        return kind

    def meant(self, query: str) -> list[dict[str, str]]:
        side, limit = re.search(r"is (above|below) (-?\d+)", query).groups()
        rows = [row for row in self.things if row["kind"] == self.kind(query)]
        return [
            row
            for row in rows
            if (int(row["amount"]) > int(limit) if side == "above" else int(row["amount"]) < int(limit))
        ]

    def answer(self, kind: str, query: str) -> set[str]:
        rows = self.meant(query)
        amounts = [int(row["amount"]) for row in rows]
        both = {f"{row['name']} | {row['amount']}" for row in rows}
        if kind == "filter":
            return both
        if kind in ("max", "min"):
            best = {"max": max, "min": min}[kind](amounts)
            return {one for one in both if one.endswith(f"| {best}")}
        if kind == "count":
            return {str(len(rows))}
        if kind == "sum":
            return {str(sum(amounts))}
        if kind == "average":
            return {f"{sum(amounts) / len(amounts):.2f}"}
        if kind == "join":
            return {f"{row['name']} | {self.places[row['place']]}" for row in rows}
        if kind == "difference":
            return set(self.places) - {row["place"] for row in rows}
        sums: dict[str, int] = defaultdict(int)
        for row in rows:
            sums[row["place"]] += int(row["amount"])
        return {f"{place} | {total}" for place, total in sums.items()}


@pytest.mark.parametrize("rest", ["rows", "prose"])
@pytest.mark.parametrize("query", list(QUERIES))
def test_loops_over_the_rows_told_give_the_answer(query: str, rest: str) -> None:
    for number in range(12):
        sample = draw(number, query=query, rest=rest, turns=3)
        reader = Reader(sample.document)
        assert len({turn.query for turn in sample.turns}) == len(sample.turns) == 3
        for turn in sample.turns:
            gold = set(turn.gold)
            answer = reader.answer(query, turn.query)
            if query == "average":
                assert abs(float(gold.pop()) - float(answer.pop())) < 0.02
            else:
                assert gold == answer
                assert len(turn.gold) == len(gold)
            shown = "\n".join(sample.document[start:end] for start, end in sample.spans(turn))
            assert [one["name"] for one in Reader(shown).meant(turn.query)] == [
                one["name"] for one in reader.meant(turn.query)
            ]


@pytest.mark.parametrize("info", [2, 20, 50])
def test_the_rows_that_matter_do_not_depend_on_the_length(info: int) -> None:
    for length in (2500, 6000):
        sample = draw(0, length=length, info=info, query="sum")
        reader = Reader(sample.document)
        kind = reader.kind(sample.turns[0].query)
        assert sum(row["kind"] == kind for row in reader.things) == info
        assert len(sample.turns[0].evidence) == info


def test_other_rows_fill_the_length_or_prose_does() -> None:
    assert len(Reader(draw(0, length=6000).document).things) > 250
    assert len(Reader(draw(0, length=6000, rest="prose").document).things) == 2 * 8


@pytest.mark.parametrize(
    ("placement", "bands"),
    [
        ("begin", [(0, 0.16)]),
        ("end", [(0.84, 1)]),
        ("middle", [(0.4, 0.6)]),
        ("bimodal", [(0, 0.16), (0.84, 1)]),
        ("uniform", [(0, 0.34), (0.34, 0.67), (0.67, 1)]),
    ],
)
@pytest.mark.parametrize("rest", ["rows", "prose"])
def test_rows_lie_where_they_are_placed(placement: str, bands: list[tuple[float, float]], rest: str) -> None:
    sample = draw(0, length=12_000, placement=placement, info=20, rest=rest)
    size = len(sample.document)
    depths = [start / size for start, _ in sample.spans(sample.turns[0])]
    held = [sum(low <= depth <= high for depth in depths) for low, high in bands]
    assert sum(held) == len(depths) == 20
    assert min(held) >= 2


def test_the_same_rows_matter_however_many_others_there_are() -> None:
    few, many = (domains.draw(random.Random(1), 8, others) for others in (5, 500))
    assert (few.relevant, few.places, few.kind) == (many.relevant, many.places, many.kind)
    names = [row.name for row in (*many.relevant, *many.rest)]
    assert len(names) == len(set(names)) == 508
    assert many.kind not in {row.kind for row in many.rest}


def test_no_article_stands_before_the_wrong_sound() -> None:
    for domain in DOMAINS:
        for kind in domain.kinds:
            told = domain.thing.format(name="Odd Owl", kind=kind, place="Oxley", amount=80)
            assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", f"{told} {domain.those.format(kind=kind)}")


def test_half_right_rows_earn_half() -> None:
    sample = next(
        one for one in (draw(number, info=20, length=1500) for number in range(50)) if len(one.turns[0].gold) == 4
    )
    turn = sample.turns[0]
    assert score("\n".join(turn.gold[:2]), turn).value == pytest.approx(2 * 2 / (2 + 4))
    listed = "\n".join(f"{row['name']} | {row['amount']}" for row in Reader(sample.document).things)
    assert score(listed, turn).value < 0.3


@pytest.mark.parametrize("knobs", [{"query": "odd"}, {"placement": "odd"}, {"rest": "odd"}, {"info": 51}, {"info": 1}])
def test_wrong_knobs_are_usage_errors(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        draw(0, **knobs)


def test_too_short_a_length_says_so() -> None:
    for rest in ("rows", "prose"):
        with pytest.raises(tasks.TooShort):
            draw(0, length=300, info=50, rest=rest)


@pytest.mark.parametrize("query", ["count", "sum", "average"])
def test_one_number_may_stand_in_a_sentence(query: str) -> None:
    for number in range(6):
        (turn,) = draw(number, query=query).turns
        gold = float(turn.gold[0])
        assert score(f"There are {turn.gold[0]}.", turn).value == 1
        assert score(f"Adding them up gives 3 + 4, so **{turn.gold[0]}** in all.", turn).value == 1
        assert score(f"{gold * 1.004:.4f}", turn).value == float(query != "count")
        assert score(f"{gold * 1.02 + 1:.4f}", turn).value == 0
