"""Belief tracking: a reader of the story's sentences comes to the trace by the rule that the query states."""

from __future__ import annotations

import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space

_ASKED = re.compile(r"Where does (\w+) believe the (\w+) to lie")


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 700, **knobs: object) -> Sample:
    return tasks.get("belief_tracking", **knobs).sample(number, seed=8, space=Space(length, words))


def traced(document: str, person: str, thing: str) -> list[str]:
    """The trace of one person and one thing, from the sentences; everyone else is followed as carriers only."""
    story = document[document.index("Hour 0:") :]
    rooms: dict[str, str] = {}
    place, belief, lines = "", "unknown", []
    for number, line in enumerate(story.splitlines()):
        head, _, told = line.partition(": ")
        assert head == f"Hour {number}"
        for part in told.rstrip(".").split("; "):
            who = part.split()[0]
            if found := re.fullmatch(r"(\w+) (?:is in|walks to|comes back into) the (\w+)", part):
                rooms[who] = found[2]
            elif re.fullmatch(r"\w+ leaves the house", part):
                rooms[who] = "outside"
            elif found := re.fullmatch(r"the (\w+) lies in the (\w+ \w+)", part):
                place = found[2] if found[1] == thing else place
            elif found := re.fullmatch(r"(\w+) moves the (\w+) to the (\w+)", part):
                if found[2] == thing:
                    assert rooms[who] == place.split()[0]
                    place = f"{rooms[who]} {found[3]}"
            else:
                found = re.fullmatch(r"(\w+) carries the (\w+) to the (\w+) (\w+)", part)
                assert found is not None, part
                if found[2] == thing:
                    assert rooms[who] == place.split()[0]
                    place = f"{found[3]} {found[4]}"
                rooms[who] = found[3]
            if place and rooms.get(person) == place.split()[0]:
                belief = place
        lines.append(f"Hour {number}: {person} {rooms[person]}, {thing} {place}, belief {belief}")
    return [*lines, f"Final Answer: {belief}"]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("knobs", [{}, {"turns": 3}, {"events": 1, "people": 2, "things": 2, "rooms": 2}])
def test_a_reader_of_the_story_comes_to_the_same_trace(number: int, knobs: dict[str, object]) -> None:
    sample = drawn(number, **knobs)
    for turn in sample.turns:
        person, thing = _ASKED.findall(turn.query)[0]
        assert turn.answer.splitlines() == traced(sample.document, person, thing)
        assert score(turn.answer, turn).value == 1


def test_beliefs_are_false_at_times_and_nobody_knows_what_they_never_saw() -> None:
    lines = [line for i in range(20) for turn in drawn(i).turns for line in turn.gold[:-1]]
    cases = [re.fullmatch(r"Hour \d+: \w+ \w+, \w+ (\w+ \w+), belief (.+)", line) for line in lines]
    pairs = [(case[1], case[2]) for case in cases if case]
    assert len(pairs) == len(lines)
    assert any(belief == "unknown" for _, belief in pairs)
    assert 0.05 < sum(belief not in (place, "unknown") for place, belief in pairs) / len(pairs) < 0.9


def test_every_hour_as_many_people_act_as_asked() -> None:
    sample = drawn(events=2, people=3)
    for line in sample.document[sample.document.index("Hour 1:") :].splitlines():
        names = [part.split()[0] for part in line.partition(": ")[2].split("; ")]
        assert len(names) == len(set(names)) == 2


def test_a_wrong_last_answer_costs_one_line_and_a_wrong_hour_all_after_it() -> None:
    (turn,) = drawn(1).turns
    lines = turn.answer.splitlines()
    assert score("\n".join([*lines[:-1], "Final Answer: moon"]), turn).value == (len(lines) - 1) / len(lines)
    lines[2] = "Hour 2: nobody was anywhere"
    assert score("\n".join(lines), turn).value == 2 / len(lines)


def test_there_are_no_more_questions_than_pairs() -> None:
    sample = drawn(length=900, turns=9, events=1, people=2, things=2, rooms=2)
    assert len(sample.turns) == len({turn.query for turn in sample.turns}) == 4


@pytest.mark.parametrize("knobs", [{"events": 5}, {"rooms": 1}, {"people": 71}, {"things": 0}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"that many {next(iter(knobs))}"):
        drawn(**knobs)
