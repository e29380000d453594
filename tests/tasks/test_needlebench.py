"""NeedleBench: the statements are found in the prose by what a question says, each once, at any depth."""

from __future__ import annotations

import re

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, TooShort


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 600, **knobs: object) -> Sample:
    return tasks.get("needlebench", **knobs).sample(number, seed=4, space=Space(length, words))


def told(document: str, place: str) -> str:
    """The thing that a statement about a place names: the last `the ...` of the sentence that names the place."""
    (sentence,) = [one for one in re.split(r"[.\n]", document) if place in one]
    return sentence.rpartition(" the ")[2]


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("knobs", [{"needles": 1}, {"needles": 1, "turns": 4}, {"needles": 5}, {"turns": 2}])
def test_a_reader_of_the_prose_finds_what_is_asked(number: int, knobs: dict[str, int]) -> None:
    sample = drawn(number, **knobs)
    assert len(sample.turns) == knobs.get("turns", 1)
    for turn in sample.turns:
        places = re.findall(r"[A-Z]\w+ (?:Island|Castle|Harbor|Valley|Forest|Village|Mountain|Palace)", turn.query)
        assert len(places) == len(set(places)) == knobs.get("needles", 5)
        assert [told(sample.document, place) for place in places] == list(turn.gold)
        shown = [sample.document[start:end] for start, end in sample.spans(turn)]
        assert len(shown) == len(places)
        assert all(sum(place in one for one in shown) == 1 for place in places)
        assert score(turn.answer, turn).value == 1


def test_half_of_the_things_earn_half_and_all_things_of_all_questions_nothing() -> None:
    turn, other = drawn(needles=4, turns=2).turns
    assert score(", ".join(turn.gold[:2]), turn).value == 0.5
    assert score(", ".join([*other.gold, *turn.gold]), turn).value == 0


def test_single_needles_lie_at_every_depth() -> None:
    samples = [tasks.get("needlebench_single").sample(i, seed=0, space=Space(600, words)) for i in range(60)]
    depths = [sample.depth(sample.turns[0]) or 0 for sample in samples]
    assert min(depths) < 0.1 and max(depths) > 0.9


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="501 needles"):
        drawn(needles=501)
    with pytest.raises(TooShort):
        drawn(length=60)
