"""Segment order: put in the answer's order, the passages are the prose as it was; the order can be known."""

from __future__ import annotations

import re
from itertools import pairwise, permutations

import pytest

from farspan import tasks
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, Text, TooShort, Turn
from farspan.tasks.kit.words import ADJECTIVES, NOUNS

PAIRS = zip(ADJECTIVES, NOUNS, strict=False)
BOOK = " ".join(f"The {one} {two} came {i} steps closer." for i, (one, two) in enumerate(PAIRS))


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 600, book: bool = False, **knobs: object) -> Sample:
    space = Space(length, words)
    return tasks.get("segment_order", **knobs).sample(number, seed=1, space=space.filled(Text(BOOK)) if book else space)


def parts(document: str) -> tuple[str, list[str], str]:
    """What stands before, the passages 1 to 4, and what stands after."""
    before, *passages = re.split(r"\n\nPassage \d:\n", document)
    passages[-1], _, after = passages[-1].partition("\n\nThe end:\n")
    assert len(passages) == 4
    return before.removeprefix("The beginning:\n"), passages, after


def restored(sample: Sample) -> str:
    """The whole prose, by the gold order."""
    before, passages, after = parts(sample.document)
    order = [int(one) for one in sample.turns[0].gold[0].split(" > ")]
    return " ".join([before, *(passages[one - 1] for one in order), after])


@pytest.mark.parametrize("number", range(8))
def test_in_the_gold_order_a_book_reads_as_it_was_written(number: int) -> None:
    sample = drawn(number, book=True)
    assert restored(sample) in " ".join([BOOK, BOOK])
    assert score(sample.turns[0].answer, sample.turns[0]).value == 1


PERSON, TOWN = r"([A-Z]\w+ [A-Z]\w+)", r"([A-Z]\w+)"
# (form, the groups of who gives, where, who takes, and where to)
LEGS = [
    (rf"In {TOWN} {PERSON} handed the [\w ]+ to {PERSON}, who carried it to {TOWN}\.", (2, 1, 3, 4)),
    (rf"{PERSON} fetched the [\w ]+ from {PERSON} in {TOWN} and took it to {TOWN}\.", (2, 3, 1, 4)),
    (rf"From {PERSON} in {TOWN} the [\w ]+ went to {PERSON} and on to {TOWN}\.", (1, 2, 3, 4)),
]


def legs(text: str) -> list[tuple[tuple[str, str], tuple[str, str]]]:
    """Every leg in the order of the text: with whom and where it begins and ends."""
    found = [
        (match.start(), (match[a], match[b]), (match[c], match[d]))
        for form, (a, b, c, d) in LEGS
        for match in re.finditer(form, text)
    ]
    return [(begins, ends) for _, begins, ends in sorted(found)]


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("length", [300, 600, 4000])
def test_without_a_book_the_seams_tell_the_order_and_no_other_one(number: int, length: int) -> None:
    sample = drawn(number, length)
    before, passages, after = parts(sample.document)
    fitting = []
    for order in permutations(range(4)):
        told = legs(" ".join([before, *(passages[i] for i in order), after]))
        if all(one[1] == other[0] for one, other in pairwise(told)):
            fitting.append(" > ".join(str(i + 1) for i in order))
    assert fitting == [sample.turns[0].gold[0]]
    assert all(begins[1] != ends[1] for begins, ends in legs(sample.document))


def test_nothing_in_a_story_without_a_book_is_counted() -> None:
    before, passages, after = parts(drawn(length=4000).document)
    assert not re.search(r"\d", " ".join([before, *passages, after]))


def test_passages_are_as_long_as_each_other_and_every_order_is_drawn() -> None:
    _, passages, _ = parts(drawn(length=2000).document)
    sizes = [words(one) for one in passages]
    assert min(sizes) > 0.85 * max(sizes) > 300
    assert len({drawn(i, 300).turns[0].gold for i in range(80)}) > 20


def test_there_is_one_question_and_a_length_that_holds_no_prose_is_too_short() -> None:
    assert len(drawn().turns) == 1
    with pytest.raises(TooShort):
        drawn(length=100)


@pytest.mark.parametrize(
    ("reply", "value", "tau"),
    [
        ("2 > 4 > 1 > 3", 1, 1.0),
        ("The order is 2>4>1>3.", 1, 1.0),
        ("First 1 > 2, but no:\n2 > 4 > 1 > 3", 1, 1.0),
        ("3 > 1 > 4 > 2", 0, -1.0),
        ("4 > 2 > 1 > 3", 0, 0.6667),
        ("2 > 4 > 1", 0, None),
        ("2 > 4 > 1 > 3 > 5", 0, None),
        ("2 > 2 > 4 > 1 > 3", 0, None),
    ],
)
def test_an_order_is_read_from_a_reply(reply: str, value: float, tau: float | None) -> None:
    scored = score(reply, Turn("Which order?", " 2 > 4 > 1 > 3", scorer="ordering"))
    assert (scored.value, scored.parsed["tau"], scored.null) == (value, tau, False)


def test_a_reply_without_an_order_is_null() -> None:
    scored = score("I cannot say; perhaps 2, 4, 1, 3", Turn("Which order?", " 2 > 4 > 1 > 3", scorer="ordering"))
    assert scored.value == 0 and scored.null
