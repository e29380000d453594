"""Variables: a reader who follows the lines comes to the answers, by value and as a chain."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 700, **knobs: object) -> Sample:
    return tasks.get("variables", **knobs).sample(number, seed=4, space=Space(length, words))


def chains(text: str) -> list[list[str]]:
    """Every chain of a text, from its first name to its number."""
    lines = dict(re.findall(r"Let (\w+) = (\w+)\.", text))
    made = []
    for name in lines:
        if name not in lines.values():
            chain = [name]
            while chain[-1] in lines:
                chain.append(lines[chain[-1]])
            made.append(chain)
    return made


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("knobs", [{}, {"chains": 1, "hops": 4}, {"ordered": True}, {"haystack": "noise"}])
def test_following_the_lines_gives_all_names_of_a_number(number: int, knobs: dict[str, object]) -> None:
    sample = drawn(number, turns=3, **knobs)
    made = {chain[-1]: chain[:-1] for chain in chains(sample.document)}
    assert len(made) == knobs.get("chains", 6)
    for turn in sample.turns:
        value = re.findall(r"have the value (\d+)\?", turn.query)[0]
        assert list(turn.gold) == made.pop(value)
        assert score(turn.answer, turn).value == 1


def test_a_chain_is_asked_for_where_it_is_wanted() -> None:
    sample = drawn(ask="chain", chains=10, turns=2)
    for turn in sample.turns:
        name = turn.query.removeprefix("What is the chain of ").removesuffix("?")
        (chain,) = [one for one in chains(sample.document) if one[0] == name]
        assert turn.answer == " " + " = ".join(chain)


@pytest.mark.parametrize(("amount", "hops", "each"), [(6, 2, {3}), (5, 4, {5}), (9, 4, {3}), (20, 2, {1, 2})])
def test_names_of_all_other_chains_are_wrong_and_listing_most_earns_nothing(
    amount: int, hops: int, each: set[int]
) -> None:
    sample = drawn(chains=amount, hops=hops, length=1500)
    (turn,) = sample.turns
    owner = {name: chain[-1] for chain in chains(sample.document) for name in chain[:-1]}
    assert not set(turn.decoys) & set(turn.gold)
    assert len(turn.decoys) == len(set(turn.decoys)) == min(24, (amount - 1) * (hops + 1))
    assert set(Counter(owner[decoy] for decoy in turn.decoys).values()) == each
    assert score(", ".join(owner), turn).value == 0
    rest = [name for name in owner if name not in turn.gold]
    assert score(", ".join([*turn.gold, *rest[: len(rest) * 2 // 3 + 3]]), turn).value == 0 or amount > 9


def test_rulers_tracking_hides_in_noise_and_shows_an_example() -> None:
    sample = tasks.get("ruler_vt").sample(0, seed=0, space=Space(600, words))
    (turn,) = sample.turns
    assert sample.document.count("Snow is white.") > 10
    assert len(turn.gold) == 5 and turn.decoys == ()
    (shown,) = chains(turn.query)
    value, told = re.findall(r"have the value (\d+)\? (.+)", turn.query.splitlines()[0])[0]
    assert [*told.split(", "), value] == shown
    assert not set(shown) & set(sample.document.split())
    assert score(told, turn).value == 0


@pytest.mark.parametrize("knobs", [{"ask": "sum"}, {"haystack": "needles"}])
def test_unknown_words_are_refused(knobs: dict[str, str]) -> None:
    (knob,) = knobs
    with pytest.raises(UsageError, match=f"no {knob}.*one of"):
        drawn(**knobs)
