"""Register lines: numbered registers without order, a name and what each holds; the content of one is asked for."""

from __future__ import annotations

import random

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="LongChat (Li et al. 2023), fine-grained line retrieval",
    presets={"longchat_lines": {"turns": 1}, "shared_lines": {"turns": 5}},
)
_DECOYS, _LARGEST = 24, 50_000


def make(rng: random.Random, space: Space, *, turns: int = 1) -> Sample:
    """As many lines as fit, with distinct names and contents of 1 to 50,000; `turns` are asked, evenly spread.

    Beyond 50,000 lines the contents are larger, so that they stay distinct.
    """
    seed = rng.getrandbits(64)
    return stack(space, lambda units: _page(random.Random(seed), units, turns), least=turns)


def _page(rng: random.Random, units: int, turns: int) -> Sample:
    shares = [rng.random() for _ in range(turns)]
    names = [name.replace(" ", "-") for name in words.keys(rng, units)]
    contents = rng.sample(range(1, max(_LARGEST, 10 * units if units > _LARGEST else 0) + 1), units)
    page = Page()
    spans = [
        page.add("\n" * bool(number) + f"register {name} contains <{content}>")
        for number, (name, content) in enumerate(zip(names, contents, strict=True))
    ]
    places = [int((turn + share) * units / turns) for turn, share in enumerate(shares)]
    rng.shuffle(places)
    asked: list[Asked] = []
    for place in places:
        others = [str(content) for content in contents[: _DECOYS + 1] if content != contents[place]]
        query = f"Which number does register {names[place]} contain?"
        turn = Turn(query, f" {contents[place]}", scorer="first_int", decoys=tuple(others[:_DECOYS]))
        asked.append((turn, [place]))
    return page.sample(located(spans, asked))
