"""Key-value: nothing but keys with their values, as many as fit; several are asked for, the first as hard as the last.

As `lines`, the form that the bundled model was trained on (about a hundred in 1,000 tokens); as `json`, one object of
UUIDs, SCBench's shared-context retrieval. With `compressible` values all come from eight, which shows methods that
merge entries.
"""

from __future__ import annotations

import random

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="SCBench (Li et al. 2024), Retr.KV; Lost in the Middle (Liu et al. 2023)",
    presets={
        "hex_keys": {"keys": "hex"},
        "scbench_kv": {"form": "json", "keys": "uuids", "turns": 5},
        "shared_kv": {"turns": 5},
    },
)
_DECOYS = 24
_FORMS, _KEYS = ("lines", "json"), ("words", "hex", "uuids")


def make(
    rng: random.Random,
    space: Space,
    *,
    turns: int = 1,
    form: str = "lines",
    keys: str = "words",
    compressible: bool = False,
) -> Sample:
    """Pairs with distinct keys and values; `turns` different keys are asked, spread evenly over the context."""
    for knob, value, known in (("form", form, _FORMS), ("keys", keys, _KEYS)):
        check_choice("key_value", knob, value, known)
    seed = rng.getrandbits(64)

    def build(units: int) -> Sample:
        return _page(random.Random(seed), space, units, turns, form, keys, compressible)

    return stack(space, build, least=turns)


def _page(rng: random.Random, space: Space, units: int, turns: int, form: str, keys: str, compressible: bool) -> Sample:
    asked = [rng.random() for _ in range(turns)]
    few = words.numbers(rng, 8)
    names = _keys(rng, units, keys)
    draw = words.uuids if keys == "uuids" else words.numbers
    values = [rng.choice(few) for _ in names] if compressible else draw(rng, units)
    before, between, after = ("{", ", ", "}") if form == "json" else ("", "\n", "")
    page = Page()
    page.add(before)
    spans = []
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        page.add(between if number else "")
        spans.append(page.add(f'"{name}": "{value}"' if form == "json" else f"{name}: {value}"))
    page.add(after)
    places = [int((turn + share) * units / turns) for turn, share in enumerate(asked)]
    rng.shuffle(places)
    questions = []
    for place in places:
        others = [value for value in values if value != values[place]]
        said = f" The value of {names[place]} is {values[place]}."
        turn = Turn(
            f"What is the value of {names[place]}?",
            f" {values[place]}",
            max_new_tokens=space.count(said) + space.slack if keys == "uuids" else 0,
            decoys=tuple(others[:_DECOYS]),
        )
        questions.append((turn, [place]))
    return page.sample(located(spans, questions))


def _keys(rng: random.Random, amount: int, kind: str) -> list[str]:
    if kind == "words":
        return words.keys(rng, amount)
    if kind == "uuids":
        return words.uuids(rng, amount)
    return [f"{value:08x}" for value in rng.sample(range(2**32), amount)]
