"""Many-shot: the label follows from the examples shown, by one word; files of two kinds are read."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from farspan import tasks
from farspan.errors import InputError, UsageError
from farspan.evals.scorers import score
from farspan.tasks import Sample, Space, TooShort
from farspan.tasks.kit.words import NOUNS


def words(text: str) -> int:
    return len(text.split())


def drawn(number: int = 0, length: int = 700, **knobs: object) -> Sample:
    return tasks.get("many_shot", **knobs).sample(number, seed=2, space=Space(length, words))


def shots(text: str) -> list[tuple[str, str]]:
    """The examples: text and label."""
    return re.findall(r"^Text: (.+)\nLabel: (.+)$", text, re.MULTILINE)


def thing(text: str) -> str:
    """The only noun of the tasks' words in a sentence."""
    (noun,) = [word for word in re.findall(r"\w+", text) if word in NOUNS]
    return noun


def asked(query: str) -> str:
    return re.findall(r"^Text: (.+)$", query, re.MULTILINE)[0]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize(
    "knobs", [{}, {"labels": 64, "length": 1500}, {"digits": True}, {"order": "grouped", "turns": 5}]
)
def test_a_reader_of_the_examples_knows_the_label(number: int, knobs: dict[str, int]) -> None:
    sample = drawn(number, **knobs)
    pairs = shots(sample.document)
    rule = {thing(text): label for text, label in pairs}
    assert len(pairs) == sample.meta["shots"] and len({label for _, label in pairs}) == knobs.get("labels", 16)
    assert all(rule[thing(text)] == label for text, label in pairs)
    texts = [asked(turn.query) for turn in sample.turns]
    assert not set(texts) & {text for text, _ in pairs} and len(set(texts)) == len(texts)
    for turn, text in zip(sample.turns, texts, strict=True):
        assert rule[thing(text)] == turn.gold[0]
        held = [sample.document[start:end] for start, end in sample.spans(turn)]
        assert len(held) == sum(thing(other) == thing(text) for other, _ in pairs)
        assert all(thing(one.splitlines()[0]) == thing(text) for one in held)
        assert score(turn.answer, turn).value == 1
        assert score(f"The label is {turn.gold[0]}.", turn).value == score(f"Label:{turn.answer}", turn).value == 1
        assert score(next(label for label in rule.values() if label != turn.gold[0]), turn).value == 0


def test_labels_are_balanced_and_always_the_same_while_the_rule_is_not() -> None:
    first, second = drawn(0, 1500), drawn(1, 1500)
    counts = Counter(label for _, label in shots(first.document))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(counts) == {label for _, label in shots(second.document)}
    one, two = ({thing(text): label for text, label in shots(s.document)} for s in (first, second))
    both = set(one) & set(two)
    assert sum(one[word] == two[word] for word in both) < len(both) / 2


def test_grouped_examples_come_label_by_label_and_shuffled_ones_do_not() -> None:
    def changes(sample: Sample) -> int:
        labels = [label for _, label in shots(sample.document)]
        return sum(one != other for one, other in pairwise(labels))

    assert changes(drawn(order="grouped")) == 15
    assert changes(drawn()) > 30


def test_digits_are_the_numbers_from_zero_on() -> None:
    sample = drawn(digits=True, labels=12)
    assert {int(label) for _, label in shots(sample.document)} == set(range(12))


def test_there_are_fewer_labels_where_they_do_not_fit() -> None:
    assert drawn(labels=64, length=400).meta["labels"] in (16, 32)
    with pytest.raises(TooShort):
        drawn(length=60)


def table(path: Path, per_label: int, labels: int = 5) -> str:
    lines = [
        f'"Please, {verb} case {i} of {label}!",name_{label}'
        for label in range(labels)
        for i in range(per_label)
        for verb in ("open", "close")
    ]
    path.write_text("\n".join(["text,category", *lines]), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("turns", [1, 7])
def test_a_table_gives_texts_and_labels_and_what_is_asked_is_not_shown(tmp_path: Path, turns: int) -> None:
    path = table(tmp_path / "some.csv", 10)
    for number in range(4):
        sample = drawn(number, path=path, turns=turns)
        pairs = shots(sample.document)
        assert len(set(pairs)) == len(pairs) == sample.meta["shots"]
        assert all(text.rstrip("!").endswith(label[-1]) for text, label in pairs)
        assert len(sample.turns) == turns
        for turn in sample.turns:
            assert asked(turn.query) not in {text for text, _ in pairs}
            assert turn.gold[0] == f"name_{asked(turn.query)[-2]}"


def test_clinc_is_read_and_a_file_that_ends_is_shown_whole(tmp_path: Path) -> None:
    path = tmp_path / "data_full.json"
    rows = [[f"say {word} number {i}", label] for label, word in (("a", "x"), ("b", "y"), ("c", "z")) for i in range(4)]
    path.write_text(json.dumps({"train": rows[::2], "val": rows[1::4], "test": rows[3::4], "oos_test": [["o", "oos"]]}))
    sample = drawn(path=str(path), labels=3)
    pairs = shots(sample.document)
    assert len(pairs) == 11 and {label for _, label in pairs} == {"a", "b", "c"}
    assert sorted([*(text for text, _ in pairs), asked(sample.turns[0].query)]) == sorted(text for text, _ in rows)
    assert {label for _, label in shots(drawn(path=str(path), labels=2).document)} < {"a", "b", "c"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "question,label\nhello,greeting", "no texts with labels"),
        ("b.json", '{"train": [["hello", "greeting"]]}', "no texts with labels"),
        ("c.json", "[1", "no texts with labels"),
        ("d.csv", "text,category\nhello\n", "no texts with labels"),
        ("e.csv", "text,category\nhello,greeting\nhi,greeting", "1 labels"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        drawn(path=str(tmp_path / name))


@pytest.mark.parametrize("knobs", [{"labels": 1}, {"labels": 1000}, {"order": "sorted"}])
def test_what_cannot_be_is_refused(knobs: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        drawn(**knobs)
