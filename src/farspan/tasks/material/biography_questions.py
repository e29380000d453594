"""What can be asked of biographies: for each kind, how people are chosen (and changed for it), and how it is asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from farspan.tasks.kit.sample import Turn
from farspan.tasks.material.people import ATTRIBUTES, YEAR, Person, Style, own_words, paraphrased, plain, stating

Needs = Sequence[tuple[int, str]]
"""What a question needs: numbers of people, and an attribute of each."""
_DECOYS, _MOST_YEARS = 24, 100
_UNKNOWN = "Not stated"


@dataclass(frozen=True, slots=True)
class Wish:
    """How many questions are wanted, about how many people each, and about which attributes."""

    turns: int
    people_asked: int
    attributes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question. `choose` may change the people before anything is written down."""

    choose: Callable[[random.Random, Sequence[Person], Wish], list[Needs]]
    ask: Callable[[Sequence[Person], Needs], Turn]
    style: Style = plain
    attributes: tuple[str, ...] = ATTRIBUTES
    numbered: bool = False


def _ones(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    pairs = [(i, attribute) for i in range(len(people)) for attribute in wish.attributes]
    return [[pair] for pair in rng.sample(pairs, min(wish.turns, len(pairs)))]


def _groups(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    """Nobody is in two groups."""
    size = wish.people_asked
    order = rng.sample(range(len(people)), min(len(people), wish.turns * size))
    groups = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
    return [[(i, rng.choice(wish.attributes)) for i in group] for group in groups]


def _years(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    """Groups in which no two people are of one year."""
    groups = _groups(rng, people, wish)
    for group in groups:
        for (i, _), year in zip(group, rng.sample(range(1700, 2000), len(group)), strict=True):
            people[i].values[YEAR] = people[i].said[YEAR] = str(year)
    return groups


def _few_years(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    """Pairs; beyond a hundred people the others say no year, for the right pairs would be countless."""
    groups = _years(rng, people, wish)
    kept = {i for group in groups for i, _ in group}
    rest = [i for i in range(len(people)) if i not in kept]
    for i in rng.sample(rest, max(0, len(people) - max(_MOST_YEARS, len(kept)))):
        del people[i].said[YEAR]
    return groups


def _gaps(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    """Every second biography lacks a sentence; by even odds one of those is asked for, or one that is there."""
    for i in rng.sample(range(len(people)), (len(people) + 1) // 2):
        del people[i].said[rng.choice(wish.attributes)]
    pairs = [(i, attribute) for i in range(len(people)) for attribute in wish.attributes]
    rng.shuffle(pairs)
    pools = [[pair for pair in pairs if (pair[1] in people[pair[0]].said) is stated] for stated in (False, True)]
    chosen: list[Needs] = []
    while len(chosen) < wish.turns and any(pools):
        pool = rng.choice(pools) or pools[0] or pools[1]
        chosen.append([pool.pop()])
    return chosen


def _chains(rng: random.Random, people: Sequence[Person], wish: Wish) -> list[Needs]:
    """Everyone is in a chain, so that no asked one stands out; the first states a value, the others refer back."""
    whole = _groups(rng, people, Wish(len(people), wish.people_asked, wish.attributes))
    chains = [[(i, group[0][1]) for i, _ in group] for group in whole]
    for chain in chains:
        for (before, attribute), (i, _) in pairwise(chain):
            people[i].values[attribute] = people[before].values[attribute]
            people[i].said[attribute] = f"the same as that of {people[before].name}"
    return list(rng.sample(chains, min(wish.turns, len(chains))))


def _value(people: Sequence[Person], needs: Needs) -> Turn:
    i, attribute = needs[-1]
    value = people[i].values[attribute]
    query = f"What is the {attribute} of {people[i].name}?"
    return Turn(query, f" {value}", decoys=_others(people, attribute, value))


def _several(people: Sequence[Person], needs: Needs) -> Turn:
    asked = "\n".join(f"{at}. the {name} of {people[i].name}" for at, (i, name) in enumerate(needs, 1))
    values = [people[i].values[attribute] for i, attribute in needs]
    answer = "\n".join(f"Answer {at}: {value}" for at, value in enumerate(values, 1))
    query = f"What are these? Write a line for each, such as Answer 1: ...\n{asked}"
    others = {other: None for i, name in needs for other in _others(people, name, people[i].values[name])}
    decoys = tuple(other for other in others if other not in values)[:_DECOYS]
    return Turn(query, f" {answer}", tuple(values), "numbered", {"text": True, "all": True}, decoys=decoys)


def _order(people: Sequence[Person], needs: Needs) -> Turn:
    group = [people[i] for i, _ in needs]
    ranked = [one.name for one in sorted(group, key=lambda one: int(one.values[YEAR]))]
    listed = ", ".join(one.name for one in group)
    query = f"List these people by birth year, the earliest first, with commas: {listed}"
    return Turn(query, " " + ", ".join(ranked), tuple(ranked), "items", {"all": True, "names": sorted(ranked)})


def _difference(people: Sequence[Person], needs: Needs) -> Turn:
    one, other = (people[i] for i, _ in needs[:2])
    query = f"How many years lie between the births of {one.name} and {other.name}? Answer with the number."
    return Turn(query, f" {_apart(one, other)}", scorer="last_number")


def _pair(people: Sequence[Person], needs: Needs) -> Turn:
    one, other = (people[i] for i, _ in needs[:2])
    wanted = _apart(one, other)
    stated = [person for person in people if YEAR in person.said]
    right = [f"{a.name} & {b.name}" for a, b in combinations(stated, 2) if _apart(a, b) == wanted]
    query = f"Name two people whose birth years differ by exactly {wanted} years, in the form: A & B"
    names = [person.name for person in stated]
    return Turn(query, f" {one.name} & {other.name}", tuple(right), "any_pair", {"names": names})


def _stated(people: Sequence[Person], needs: Needs) -> Turn:
    i, attribute = needs[0]
    query = f"What is the {attribute} of {people[i].name}? If the text does not state it, answer: {_UNKNOWN}."
    if attribute not in people[i].said:
        return Turn(query, f" {_UNKNOWN}.", scorer="abstains", decoys=_others(people, attribute, ""))
    value = people[i].values[attribute]
    return Turn(query, f" {value}", decoys=_others(people, attribute, value))


def _cited(people: Sequence[Person], needs: Needs) -> Turn:
    i, attribute = needs[0]
    value = people[i].values[attribute]
    query = f"What is the {attribute} of {people[i].name}? Add the number in brackets of where it stands."
    decoys = _others(people, attribute, value)
    return Turn(query, f" {value} [{i + 1}]", (value,), "citations", {"cited": [i + 1]}, decoys=decoys)


def _apart(one: Person, other: Person) -> int:
    return abs(int(one.values[YEAR]) - int(other.values[YEAR]))


def _others(people: Sequence[Person], attribute: str, value: str) -> tuple[str, ...]:
    """Other stated values; they come sorted, so their order tells nothing."""
    return tuple(sorted(other for other in stating(people, attribute) if other != value)[:_DECOYS])


KINDS: Mapping[str, Kind] = {
    "standard": Kind(_ones, _value),
    "multi": Kind(_groups, _several),
    "paraphrase": Kind(_ones, _value, paraphrased),
    "pronoun": Kind(_ones, _value, own_words),
    "rank": Kind(_years, _order, attributes=(YEAR,)),
    "calculation": Kind(_years, _difference, attributes=(YEAR,)),
    "multihop": Kind(_chains, _value),
    "twodiff": Kind(_few_years, _pair, attributes=(YEAR,)),
    "idk": Kind(_gaps, _stated),
    "citation": Kind(_ones, _cited, numbered=True),
}
"""The kinds of LongBioBench."""
