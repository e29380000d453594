"""Ancestors: a reader who knows the relations, and the sentences' forms, comes to the same answer."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Turn

NAME = r"((?!The )[A-Z][a-z]+ (?:[A-Z][a-z]+ )?[A-Z][a-z]+)"
RELATION = r"((?:grand)?(?:father|mother|dad|mum|pa|ma))"
# (form, the groups that hold the elder, the younger and the relation)
FORMS = [
    (rf"{NAME} is the {RELATION} of {NAME}\.", (1, 3, 2)),
    (rf"The {RELATION} of {NAME} is {NAME}\.", (3, 2, 1)),
    (rf"{NAME} has {NAME} as {RELATION}\.", (2, 1, 3)),
    (rf"{NAME}, the {RELATION} of {NAME}, keeps bees\.", (1, 3, 2)),
    (rf"As the {RELATION} of {NAME}, {NAME} is proud\.", (3, 2, 1)),
    (rf"To {NAME}, {NAME} is both {RELATION} and friend\.", (2, 1, 3)),
    (rf"In {NAME}, {NAME} has a patient {RELATION}\.", (1, 2, 3)),
]


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 700, **knobs: object) -> Sample:
    return tasks.get("ancestors", **knobs).sample(number, seed=3, space=Space(length, words))


def parents(text: str) -> dict[str, tuple[str, int]]:
    """Each one's forebear, and how many generations above."""
    known: dict[str, tuple[str, int]] = {}
    for form, (elder, younger, relation) in FORMS:
        for found in re.finditer(form, text):
            assert found[younger] not in known
            known[found[younger]] = (found[elder], 1 + found[relation].startswith("grand"))
    return known


def solved(text: str, query: str) -> str:
    """The answer to a question, from the sentences."""
    up = parents(text)
    asked = query.rpartition("In the same way, give ")[2]
    names = re.findall(NAME, asked)
    amount = int((re.findall(r"(\d+) generation", asked) or ["0"])[0])
    if "eldest" in asked:
        return lineage(names[0], up)[-1][0]
    if "ancestor" in asked:
        return next(name for name, above in lineage(names[0], up) if above == amount)
    if "descendant" in asked:
        return next(name for name in up if (names[0], amount) in lineage(name, up))
    return str(dict(lineage(names[0], up))[names[1]])


def lineage(name: str, up: dict[str, tuple[str, int]]) -> list[tuple[str, int]]:
    """Someone and all known forebears, with the generations above."""
    line = [(name, 0)]
    while line[-1][0] in up:
        elder, amount = up[line[-1][0]]
        line.append((elder, line[-1][1] + amount))
    return line


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("kind", ["eldest", "ancestor", "descendant", "distance"])
@pytest.mark.parametrize("hidden", ["dense", "prose", "crowd"])
def test_a_reader_of_the_sentences_comes_to_the_answer(hidden: str, kind: str, number: int) -> None:
    sample = drawn(number, kind=kind, hidden=hidden, turns=2)
    assert len(sample.turns) == 2
    for turn in sample.turns:
        assert (solved(sample.document, turn.query),) == turn.gold
        evidence = " ".join(sample.document[start:end] for start, end in sample.spans(turn))
        assert solved(evidence, turn.query) == turn.gold[0]
        assert score(turn.answer, turn).value == 1
        assert score(f"So it is \\boxed{{\\text{{{turn.gold[0]}}}}}.", turn).value == 1
        assert score("\\boxed{Tom}", turn).value == 0


def walked(sample: Sample, turn: Turn) -> int:
    """How many links the answer walks."""
    return turn.answer.count("(")


@pytest.mark.parametrize("needles", [1, 2, 8])
def test_questions_go_over_as_many_links_as_asked_for(needles: int) -> None:
    for number in range(6):
        sample = drawn(number, needles=needles, hidden="prose", length=1200)
        assert walked(sample, sample.turns[0]) == len(sample.turns[0].evidence) == needles
        assert len(parents(sample.document)) == 4 * (needles + 1)
    links = {walked(s, s.turns[0]) for s in (drawn(i, needles=5, fewest=2, hidden="prose") for i in range(30))}
    assert links == {2, 3, 4, 5}


@pytest.mark.parametrize("length", [512, 1200, 5000])
def test_links_grow_until_context_and_answer_fill_the_length(length: int) -> None:
    space = Space(length, words)
    for number in range(4):
        sample = tasks.get("atc").sample(number, seed=3, space=space)
        (turn,) = sample.turns
        links = walked(sample, turn)
        assert links == len(turn.evidence) == sample.meta["links"]
        assert (solved(sample.document, turn.query),) == turn.gold
        assert len(parents(sample.document)) == 2 * (links + 1)
        told = len(sample.segments[-1].text.split())
        taken = told + words(turn.query) + turn.max_new_tokens
        assert length - 90 <= taken <= length == pytest.approx(space.total(sample), rel=0.03)


def test_beyond_the_most_links_there_are_more_families() -> None:
    sample = drawn(needles=0, families=1, length=60_000)
    assert walked(sample, sample.turns[0]) == 512
    assert len(parents(sample.document)) % 513 == 0 and len(parents(sample.document)) > 5 * 513
    assert solved(sample.document, sample.turns[0].query) == sample.turns[0].gold[0]


def test_a_reply_may_say_every_link_again() -> None:
    for knobs in ({"needles": 8}, {"needles": 4, "hidden": "crowd"}, {"needles": 0, "families": 1}):
        turn = drawn(length=1500, **knobs).turns[0]
        assert turn.max_new_tokens == 3 * words(turn.answer) + 24
        people = re.findall(rf"{NAME} \(\d+\)", turn.answer)
        said = [f"{one} comes 2 generations above {other}," for one, other in pairwise(people)]
        assert words(" ".join(said)) < turn.max_new_tokens


def test_who_is_nobodys_child_is_not_the_answer_by_that() -> None:
    ancestors = [drawn(i, kind="ancestor", hidden="prose") for i in range(30)]
    tops = [sample.turns[0].gold[0] in parents(sample.document) for sample in ancestors]
    assert 5 < sum(tops) < 25
    for sample in ancestors:
        up = parents(sample.document)
        assert len({elder for elder, _ in up.values()} - set(up)) == 4


def test_where_the_families_do_not_fit_there_are_fewer_and_a_crowd_fills_the_space() -> None:
    short = drawn(needles=8, length=360)
    assert 1 <= short.meta["families"] < 3
    assert len(parents(short.document)) == 9 * (short.meta["families"] + 1)
    assert len(parents(drawn(hidden="crowd", length=3000).document)) > 5 * 60


def test_there_are_no_more_questions_than_families_and_kinds() -> None:
    sample = drawn(families=1, needles=1, kind="eldest", turns=9)
    assert len(sample.turns) == len({turn.query for turn in sample.turns}) == 2


@pytest.mark.parametrize(
    "knobs",
    [
        {"kind": "cousin"},
        {"hidden": "deep"},
        {"needles": -1},
        {"needles": 0, "hidden": "prose"},
        {"families": 3000},
        {"needles": 2, "fewest": 3},
    ],
)
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
