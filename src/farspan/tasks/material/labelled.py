"""Texts with labels to learn from examples: by a hidden rule of our own, or from a file of texts and their labels."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from farspan.errors import InputError
from farspan.tasks.files.texts import text_of
from farspan.tasks.kit import words

MOST_LABELS = len(words.NOUNS)
_LABELS = tuple(words.nonsense(random.Random("labels"), MOST_LABELS))
_VERBS = tuple("saw found drew sold cleaned mended praised moved lost bought hid kept measured borrowed".split())
_TIMES = tuple("today|last week|at noon|in May|on Friday|long ago|after dinner|before dawn|twice|by chance".split("|"))
_FIX = "give a CSV with the columns text and category, or CLINC150's data_full.json"


class Example(NamedTuple):
    """A text, its label, and by what examples of the same kind are known (a keyword, or the label itself)."""

    text: str
    label: str
    cue: str


class Source(Protocol):
    """Where examples come from: a fixed endless or finite list, whose first ones are taken."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of a round."""
        ...

    @property
    def most(self) -> int | None:
        """How many examples there are; None when they never end."""
        ...

    def shots(self, units: int) -> list[Example]:
        """The first examples: in every round, one of each label that has one left."""
        ...

    def asked(self, shots: list[Example], turns: int) -> list[Example]:
        """Examples with texts that are not among those shown."""
        ...


class Rule:
    """Sentences of which one word, the thing, decides: each label has two things, or one where there are many labels.

    The labels mean nothing and are always the same; which thing has which label is drawn anew, so nothing known helps.
    """

    def __init__(self, seed: int, labels: int) -> None:
        self.labels = _LABELS[:labels]
        self.most = None
        self._seed = seed
        self._each = min(2, MOST_LABELS // labels)
        self._things = random.Random(seed).sample(words.NOUNS, labels * self._each)

    def shots(self, units: int) -> list[Example]:
        """Sentences; the labels in turn, and the things of a label in turn."""
        rng = random.Random(f"shots {self._seed}")
        return [self._example(rng, i % (len(self.labels) * self._each)) for i in range(units)]

    def asked(self, shots: list[Example], turns: int) -> list[Example]:
        """Other sentences about things that were shown, of different labels as long as there are any."""
        rng = random.Random(f"asked {self._seed}")
        shown = {shot.text for shot in shots}
        known = min(len(shots), len(self._things))
        order = rng.sample(range(len(self.labels)), len(self.labels))
        drawn: list[Example] = []
        while len(drawn) < turns:
            label = order[len(drawn) % len(order)]
            things = range(label, known, len(self.labels))
            one = self._example(rng, things[int(rng.random() * len(things))])
            if one.text not in shown:
                shown.add(one.text)
                drawn.append(one)
        return drawn

    def _example(self, rng: random.Random, thing: int) -> Example:
        word = self._things[thing]
        parts = rng.choice(words.FIRST_NAMES), rng.choice(_VERBS), rng.choice(words.ADJECTIVES), rng.choice(_TIMES)
        text = "{} {} the {} {} {}.".format(*parts[:3], word, parts[3])
        return Example(text, self.labels[thing % len(self.labels)], word)


class File:
    """Labels drawn from a file; texts are asked that are not shown.

    Raises InputError where fewer than two labels have a text to show and `turns` texts to ask.
    """

    def __init__(self, path: str, seed: int, labels: int, turns: int) -> None:
        rng = random.Random(seed)
        each = -(-turns // labels)
        groups = {label: texts for label, texts in read(path).items() if len(texts) > each}
        if len(groups) < 2:
            raise InputError(f"{path} has {len(groups)} labels with more than {each} texts", fix=_FIX)
        self.labels = tuple(rng.sample(sorted(groups), min(labels, len(groups))))
        order = rng.sample(self.labels, len(self.labels))
        drawn = {label: rng.sample(groups[label], len(groups[label])) for label in self.labels}
        self._asked = [_of(drawn[label].pop(), label) for label in (order * turns)[:turns] if len(drawn[label]) > 1]
        rounds = range(max(map(len, drawn.values())))
        self._shots = [_of(drawn[label][i], label) for i in rounds for label in self.labels if i < len(drawn[label])]
        self.most = len(self._shots)

    def shots(self, units: int) -> list[Example]:
        """Texts in rounds, one of each label that has one left."""
        return self._shots[:units]

    def asked(self, shots: list[Example], turns: int) -> list[Example]:
        """Texts that were laid aside before."""
        return self._asked[:turns]


def read(path: str) -> dict[str, list[str]]:
    """The different texts of every label of a file. Raises InputError for a file that is neither of the two kinds."""
    file = Path(path)
    text = text_of(file)
    try:
        pairs = list(_clinc(json.loads(text)) if file.suffix == ".json" else _table(text))
    except (ValueError, KeyError, TypeError, AttributeError, csv.Error, RecursionError) as error:
        raise InputError(f"{path} holds no texts with labels ({type(error).__name__}: {error})", fix=_FIX) from error
    groups: dict[str, list[str]] = {}
    for said, label in dict(pairs).items():
        if said and label:
            groups.setdefault(label, []).append(said)
    return groups


def _of(text: str, label: str) -> Example:
    return Example(text, label, label)


def _table(text: str) -> Iterable[tuple[str, str]]:
    for row in csv.DictReader(io.StringIO(text)):
        yield _flat(row["text"]), _flat(row["category"])


def _clinc(parts: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for part in ("train", "val", "test"):
        for said, label in parts[part]:
            yield _flat(said), _flat(label)


def _flat(text: str) -> str:
    return " ".join(text.split())
