"""Plan: the wishes in the prose, read again one by one, are those that the checks hold a plan to."""

from __future__ import annotations

import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Turn
from farspan.tasks.plan import _LOOKS, _OBJECTS


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 2000, **knobs: object) -> Sample:
    return tasks.get("plan", **knobs).sample(number, seed=4, space=Space(length, words))


def wishes(document: str, title: str) -> dict[str, set[int]]:
    """From the prose: by words, the units that must have them; a rhythm goes on as far as 1,000."""
    found: dict[str, set[int]] = {}
    for part in document.split("The " + title + " must have the words ")[1:]:
        phrase, where = re.findall(r'^"([^"]+)" in (.+?), and in no other', part)[0]
        if one := re.fullmatch(r"each \w+ from (\d+) to (\d+)", where):
            found[phrase] = set(range(int(one[1]), int(one[2]) + 1))
        elif one := re.fullmatch(r"\w+ (\d+) and then every (\d+) after it", where):
            found[phrase] = set(range(int(one[1]), 1000, int(one[2])))
        else:
            found[phrase] = {int(where.split()[1])}
    return found


def title_of(turn: Turn) -> str:
    return re.findall(r"Write the (.+?) from \w+ 1 to", turn.query)[0]


def entries(answer: str, unit: str) -> dict[int, str]:
    return {int(at): text for at, text in re.findall(rf"^#\*# {unit} (\d+): (.*)$", answer, re.MULTILINE)}


@pytest.mark.parametrize("scenario", ["ship_log", "train_timetable", "tower_floors", "garden_beds"])
@pytest.mark.parametrize("turns", [1, 2])
def test_the_plan_meets_every_wish_of_the_prose_and_no_more(scenario: str, turns: int) -> None:
    sample = drawn(scenario=scenario, turns=turns)
    assert len(sample.turns) == turns
    for turn in sample.turns:
        units, unit = turn.options["units"], turn.options["unit"]
        plan = entries(turn.answer, unit)
        assert list(plan) == list(range(1, units + 1)) and units == sample.meta["units"]
        asked = wishes(sample.document, title_of(turn))
        assert set(asked) == set(turn.gold) and len(asked) >= 3
        for phrase, places in asked.items():
            assert {at for at, text in plan.items() if phrase in text} == {at for at in places if at <= units}
        assert score(turn.answer, turn).value == 1


def test_the_checks_are_the_wishes_and_as_many_places_that_must_lack_them() -> None:
    sample = drawn(length=8000)
    (turn,) = sample.turns
    asked = wishes(sample.document, title_of(turn))
    has = {(check["phrase"], check["unit"]) for check in turn.options["checks"] if check["kind"] == "has"}
    lacks = {(check["phrase"], check["unit"]) for check in turn.options["checks"] if check["kind"] == "lacks"}
    assert has == {(phrase, at) for phrase, places in asked.items() for at in places if at <= turn.options["units"]}
    assert all(at not in asked[phrase] and 1 <= at <= turn.options["units"] for phrase, at in lacks)
    assert len(lacks) == len(has) == len(turn.options["checks"]) / 2
    assert any(len(places) == 1 for places in asked.values())
    assert any(2 <= len(places) <= 5 for places in asked.values())
    assert any(len(places) > 20 for places in asked.values())


def test_the_evidence_is_the_wishes_of_the_plan_that_is_asked_for() -> None:
    sample = drawn(turns=2)
    for turn in sample.turns:
        told = [sample.document[start:end] for start, end in sample.spans(turn)]
        assert len(told) == len(turn.gold) and all(title_of(turn) in fact for fact in told)


@pytest.mark.parametrize("length", [512, 1100, 4000, 8000])
def test_all_words_everywhere_and_none_anywhere_earn_half(length: int) -> None:
    for number in range(5):
        (turn,) = drawn(number, length).turns
        unit, units = turn.options["unit"], range(1, turn.options["units"] + 1)
        for said in (", ".join(turn.gold), "Nothing of note."):
            assert score("\n".join(f"#*# {unit} {at}: {said}" for at in units), turn).value == 0.5


@pytest.mark.parametrize("length", [512, 2000, 8000, 32000])
def test_most_units_are_checked(length: int) -> None:
    for number in range(5):
        (turn,) = drawn(number, length).turns
        assert len({check["unit"] for check in turn.options["checks"]}) >= 0.6 * turn.options["units"]


def test_half_a_plan_earns_about_half() -> None:
    (turn,) = drawn(length=8000).turns
    units, unit = turn.options["units"], turn.options["unit"]
    half = turn.answer[: turn.answer.index(f"#*# {unit} {units // 2}:")]
    assert 0.2 < score(half, turn).value < 0.7


def test_the_plan_takes_about_a_third_and_each_entry_about_the_words_asked_for() -> None:
    for wanted in (30, 100):
        (turn,) = drawn(length=8000, words=wanted).turns
        assert 0.28 < words(turn.answer) / 8000 < 0.4
        sizes = [words(text) for text in entries(turn.answer, "Day").values()]
        assert min(sizes) >= wanted and max(sizes) < wanted + 25


def test_no_two_wishes_can_be_taken_for_one_another() -> None:
    phrases = [f"{look} {thing}" for look in _LOOKS for thing in _OBJECTS]
    assert len(set(phrases)) == len(phrases)
    for group in (_LOOKS, _OBJECTS):
        assert not any(one != two and (one.endswith(two) or one.startswith(two)) for one in group for two in group)


@pytest.mark.parametrize("knobs", [{"scenario": "menu"}, {"words": 0}, {"turns": 67}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
