"""Biographies: a reader that knows only the plain sentences comes to the same answers; the default form stays."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from farspan import tasks
from farspan.errors import UsageError
from farspan.evals.scorers import score
from farspan.tasks.material import people

WORD = re.compile(r"\s+|\w+|[^\w\s]")
FACT = re.compile(r"The (town|trade|birth year|friend) of ([A-Z]\w+ [A-Z]\w+) is ([^.]+)\.")
VALUE_KINDS = ("standard", "paraphrase", "pronoun", "multihop")


def count(text: str) -> int:
    return sum(1 for token in WORD.findall(text) if token != " ")


def draw(number: int, length: int = 900, **knobs: object) -> tasks.Sample:
    return tasks.get("biographies", **knobs).sample(number, seed=5, space=tasks.Space(length, count))


def read(text: str) -> dict[tuple[str, str], str]:
    """What the plain sentences state, by attribute and name; each of them once."""
    found = FACT.findall(text)
    stated = {(attribute, name): value for attribute, name, value in found}
    assert len(stated) == len(found)
    return stated


def years(text: str) -> dict[str, int]:
    return {name: int(value) for (attribute, name), value in read(text).items() if attribute == "birth year"}


def asked(query: str) -> tuple[str, str]:
    attribute, name = re.search(r"the (town|trade|birth year|friend) of ([A-Z]\w+ [A-Z]\w+)", query).groups()
    return attribute, name


def test_the_default_form_is_the_one_that_was_trained() -> None:
    for number in range(30):
        sample = draw(number, turns=2)
        bios = re.findall(
            r"The town of (\w+ \w+) is \w+\. The trade of \1 is \w+\. The birth year of \1 is \d{4}\. "
            r"The friend of \1 is \w+ \w+\.",
            sample.document,
        )
        assert len(bios) == len(set(bios)) == 10
        assert FACT.split(sample.document)[0] == "" or FACT.split(sample.document)[0][0].isupper()
        stated = read(sample.document)
        for turn in sample.turns:
            attribute, name = asked(turn.query)
            assert turn.query == f"What is the {attribute} of {name}?"
            assert turn.answer == f" {stated[attribute, name]}"
            assert turn.scorer == "any_substring"
            ((start, end),) = sample.spans(turn)
            assert sample.document[start:end].startswith(f"The town of {name} is")


@pytest.mark.parametrize("fill", ["prose", "dense"])
@pytest.mark.parametrize("kind", ["standard", "citation"])
def test_stated_values_are_the_answers(kind: str, fill: str) -> None:
    for number in range(10):
        sample = draw(number, kind=kind, fill=fill, turns=3)
        stated = read(sample.document)
        for turn in sample.turns:
            assert turn.gold == (stated[asked(turn.query)],)
            assert set(turn.decoys).isdisjoint(turn.gold)


def test_dense_is_nothing_but_biographies() -> None:
    sample = draw(0, length=4000, fill="dense")
    assert len(FACT.findall(sample.document)) > 350
    assert len(FACT.sub("", sample.document).split()) < 40


def test_a_citation_names_the_line() -> None:
    for number in range(10):
        sample = draw(number, kind="citation", fill="dense")
        (turn,) = sample.turns
        (mark,) = turn.options["cited"]
        _, name = asked(turn.query)
        assert re.search(rf"^\[{mark}\] The town of {name} is", sample.document, re.MULTILINE)
        assert score(f"{turn.gold[0]} [{mark + 1}]", turn).value == 0.5


def test_several_answers_are_numbered() -> None:
    for number in range(10):
        sample = draw(number, kind="multi", people_asked=3, fill="dense")
        (turn,) = sample.turns
        assert turn.query.startswith("What are these?")
        lines = turn.query.splitlines()[1:]
        said = [f"Answer {at}: The value is {value}." for at, value in enumerate(turn.gold, 1)]
        assert score("\n".join(said), turn).value == 1
        assert score("\n".join(said[:-1]), turn).value == 0
        assert set(turn.decoys).isdisjoint(turn.gold) and turn.decoys
        said[0] += f" Or {turn.decoys[0]}."
        assert score("\n".join(said), turn).value == 0
        assert tuple(read(sample.document)[asked(line)] for line in lines) == turn.gold
        assert len({asked(line)[1] for line in lines}) == 3
        assert len(turn.evidence) == 3


def test_rank_orders_by_year() -> None:
    for number in range(10):
        sample = draw(number, kind="rank", people_asked=5)
        (turn,) = sample.turns
        born = years(sample.document)
        names = turn.query.rpartition(": ")[2].split(", ")
        assert turn.gold == tuple(sorted(names, key=born.__getitem__))
        assert len({born[name] for name in names}) == len(names) == 5
        assert "first?" not in turn.query
        assert score(", ".join(reversed(turn.gold)), turn).value == 0
        assert score(", ".join(f"{name} ({born[name]})" for name in turn.gold), turn).value == 1
        assert score(f"{turn.gold[0]} was born first. {', '.join(turn.gold)}", turn).value == 1


def test_calculation_is_the_difference_of_years() -> None:
    for number in range(10):
        sample = draw(number, kind="calculation", turns=2)
        born = years(sample.document)
        for turn in sample.turns:
            one, other = re.search(r"births of (\w+ \w+) and (\w+ \w+)\?", turn.query).groups()
            assert int(turn.gold[0]) == abs(born[one] - born[other]) > 0


@pytest.mark.parametrize("density", [1.0, 0.5])
def test_twodiff_knows_every_right_pair(density: float) -> None:
    for number in range(10):
        sample = draw(number, length=2500, kind="twodiff", fill="dense", density=density)
        (turn,) = sample.turns
        born = years(sample.document)
        wanted = int(re.search(r"exactly (\d+) years", turn.query)[1])
        right = {frozenset(pair) for pair in combinations(born, 2) if abs(born[pair[0]] - born[pair[1]]) == wanted}
        assert {frozenset(gold.split(" & ")) for gold in turn.gold} == right
        wrong = next(pair for pair in combinations(born, 2) if frozenset(pair) not in right)
        assert score(" & ".join(wrong), turn).value == 0


def test_twodiff_stays_small_in_a_long_text() -> None:
    sample = draw(0, length=30_000, kind="twodiff", fill="dense")
    assert len(years(sample.document)) == 100


@pytest.mark.parametrize("chain", [2, 4])
def test_multihop_follows_the_chain(chain: int) -> None:
    for number in range(10):
        sample = draw(number, kind="multihop", people_asked=chain, people=12, turns=2)
        stated = read(sample.document)
        for turn in sample.turns:
            attribute, name = asked(turn.query)
            hops = 1
            while stated[attribute, name].startswith("the same as that of "):
                name = stated[attribute, name].removeprefix("the same as that of ")
                hops += 1
            assert (stated[attribute, name],) == turn.gold
            assert hops == chain == len(turn.evidence)
        links = sum(value.startswith("the same") for value in stated.values())
        assert links == 12 // chain * (chain - 1)


def test_idk_abstains_exactly_where_nothing_is_stated() -> None:
    abstained = 0
    for number in range(40):
        sample = draw(number, kind="idk", fill="dense", turns=2)
        stated = read(sample.document)
        gaps = sum(4 - len(FACT.findall(line)) for line in sample.document.splitlines() if FACT.search(line))
        assert gaps > 5
        for turn in sample.turns:
            attribute, name = asked(turn.query)
            assert (turn.scorer == "abstains") == ((attribute, name) not in stated)
            abstained += turn.scorer == "abstains"
            assert score("Not stated.", turn).value == float(turn.scorer == "abstains")
            assert score(f"Not stated, perhaps {turn.decoys[0]}.", turn).value == 0
            said = f"The {attribute} of {name} is not stated."
            assert score(said, turn).value == float(turn.scorer == "abstains")
    assert 20 < abstained < 60


@pytest.mark.parametrize("kind", ["paraphrase", "pronoun"])
def test_other_words_still_state_the_answer_once(kind: str) -> None:
    shapes = set()
    for number in range(40):
        sample = draw(number, kind=kind, fill="dense")
        (turn,) = sample.turns
        attribute, name = asked(turn.query)
        ((start, end),) = sample.spans(turn)
        bio = sample.document[start:end]
        assert name in bio
        assert "The " + attribute + " of" not in bio
        (sentence,) = [one for one in re.split(r"(?<=\.) ", bio) if re.search(rf"\b{turn.gold[0]}\b", one)]
        assert (name in sentence) == (kind == "paraphrase")
        shapes.add((attribute, sentence.replace(name, "N").replace(turn.gold[0], "V")))
    assert len(shapes) > 10


def test_every_attribute_has_five_ways_to_be_said() -> None:
    assert all(len(shapes) >= 5 for shapes in people._PARAPHRASES.values())
    assert all(
        shape.count("{name}") == shape.count("{value}") == 1 for one in people._PARAPHRASES.values() for shape in one
    )


def test_density_is_the_share_of_others_that_state_the_attribute() -> None:
    stating = others = 0
    for number in range(10):
        sample = draw(number, length=3000, fill="dense", density=0.25, turns=2)
        (attribute,) = {asked(turn.query)[0] for turn in sample.turns}
        stated = read(sample.document)
        names = {name for _, name in stated} - {asked(turn.query)[1] for turn in sample.turns}
        stating += sum((attribute, name) in stated for name in names)
        others += len(names)
        assert all((one, name) in stated for name in names for one in people.ATTRIBUTES if one != attribute)
        assert all(turn.gold == (stated[asked(turn.query)],) for turn in sample.turns)
    assert 0.2 < stating / others < 0.3


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_many_people_have_distinct_names(kind: str) -> None:
    sample = draw(0, length=9000, kind=kind, fill="dense", turns=5)
    assert len({turn.query for turn in sample.turns}) == 5
    pattern = r"^This is ([\w ]+) speaking" if kind == "pronoun" else r"^The town of (\w+ \w+) is"
    names = re.findall(pattern, sample.document, re.MULTILINE)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("knobs", [{"kind": "odd"}, {"fill": "odd"}, {"density": 1.5}])
def test_wrong_knobs_are_usage_errors(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        draw(0, **knobs)
