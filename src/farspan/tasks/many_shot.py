"""Many-shot: examples of texts with their labels, as many as fit; the label of another text is asked for.

By itself, the labels are words without meaning, and a hidden rule decides by one word of a sentence, so that nothing
known helps. With `path`, texts and labels are those of a file.
"""

from __future__ import annotations

import random

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space, TooShort
from farspan.tasks.material.labelled import MOST_LABELS, Example, File, Rule, Source

CARD = Card(
    scope="several facts",
    diffusion="scattered",
    source="LongICLBench (Li et al. 2024), whose labels HELMET (Yen et al. 2024) writes as numbers; a rule of our own",
    chance=0.06,
    version=2,
    chances={"many_shot_64": 0.02},
    presets={
        "many_shot_16": {"labels": 16},
        "many_shot_64": {"labels": 64},
        "shared_many_shot": {"turns": 5},
    },
)
_ORDERS = ("shuffled", "grouped")
_DECOYS = 24


def make(
    rng: random.Random,
    space: Space,
    *,
    labels: int = 16,
    order: str = "shuffled",
    digits: bool = False,
    path: str = "",
    turns: int = 1,
) -> Sample:
    """As many examples as fit, with one of every label at least; half as many labels as long as they do not fit.

    order: `shuffled`, or `grouped`, label by label. digits: labels are written as numbers from 0 on. path: a CSV with
    the columns text and category (BANKING77), or CLINC150's data_full.json.
    Raises UsageError for knobs that cannot be, InputError for a file that holds no texts with labels.
    """
    check_choice("many_shot", "order", order, _ORDERS)
    if labels < 2 or (labels > MOST_LABELS and not path):
        raise UsageError(f"many_shot cannot have {labels} labels", fix=f"2 to {MOST_LABELS}, with a path as it has")
    seed = rng.getrandbits(64)
    while True:
        source: Source = File(path, seed, labels, turns) if path else Rule(seed, labels)
        try:
            return _stacked(space, source, seed, order == "grouped", digits, turns)
        except TooShort:
            if labels <= 2:
                raise
            labels = max(2, min(labels, len(source.labels)) // 2)


def _stacked(space: Space, source: Source, seed: int, grouped: bool, digits: bool, turns: int) -> Sample:
    numbers = random.Random(f"numbers {seed}").sample(range(len(source.labels)), len(source.labels))
    written = {label: str(number) if digits else label for label, number in zip(source.labels, numbers, strict=True)}

    def build(units: int) -> Sample:
        shots = source.shots(units)
        asked = source.asked(shots, turns)
        random.Random(f"order {seed}").shuffle(shots)
        if grouped:
            shots.sort(key=lambda shot: source.labels.index(shot.label))
        return _page(shots, asked, written)

    return stack(space, build, least=len(source.labels), most=source.most)


def _page(shots: list[Example], asked: list[Example], written: dict[str, str]) -> Sample:
    page = Page()
    spans = [
        page.add("\n\n" * bool(number) + f"Text: {shot.text}\nLabel: {written[shot.label]}")
        for number, shot in enumerate(shots)
    ]
    turns: list[Asked] = []
    for one in asked:
        needed = [i for i, shot in enumerate(shots) if shot.cue == one.cue]
        turns.append((_turn(one, written), needed))
    return page.sample(located(spans, turns), labels=len(written), shots=len(shots))


def _turn(one: Example, written: dict[str, str]) -> Turn:
    others = [text for label, text in written.items() if label != one.label]
    query = f"Which label of the examples does this text have? Answer with the label alone.\nText: {one.text}\nLabel:"
    answer = written[one.label]
    return Turn(query, f" {answer}", (answer,), "exact", {"lead": "label"}, decoys=tuple(others[:_DECOYS]))
