"""Biographies: people with a town, a trade, a year and a friend each; one attribute of one person is asked, or more.

With its defaults it is the form that the bundled model was trained on: ten people in prose, four sentences each.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import Asked, hide, located, stack
from farspan.tasks.kit.sample import Page, Sample
from farspan.tasks.kit.space import Space
from farspan.tasks.material.biography_questions import KINDS, Kind, Needs, Wish
from farspan.tasks.material.people import Person, draw

_DENSE: Mapping[str, Any] = {"fill": "dense"}
CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="LongBioBench (Yang et al. 2025); four attributes, sentences of our own, abstaining mixed with answering",
    chances={"longbio_idk": 0.3, "longbio_citation": 0.02},
    guess={"longbio_idk": 0.5, "longbio_rank": 0.5, "longbio_rank_5": 0.01},
    presets={
        **{f"longbio_{kind}": {"kind": kind, **_DENSE} for kind in KINDS},
        **{f"longbio_{kind}_5": {"kind": kind, "people_asked": 5, **_DENSE} for kind in ("multi", "rank", "multihop")},
    },
)
_FILLS = ("prose", "dense")


def make(
    rng: random.Random,
    space: Space,
    *,
    people: int = 10,
    kind: str = "standard",
    people_asked: int = 2,
    density: float = 1.0,
    fill: str = "prose",
    turns: int = 1,
) -> Sample:
    """`people` with distinct names (some share a first or last name), each described in one run of sentences.

    kind: `standard`, `paraphrase` and `pronoun` (said in the first person) ask for one attribute; `multi` for several,
    `rank` for the order of birth, `calculation` for the years between two, `multihop` for an attribute that others
    share, `twodiff` for any two born so many years apart, `idk` for one that may not be stated, `citation` for the
    number of the biography as well.
    people_asked: how many people a question is about (multi, rank), or how many are in a chain (multihop).
    density: the share of the other biographies that state the asked attribute, one for all turns below 1.
    fill: `prose` hides the people in prose; `dense` takes as many people as fit instead, whatever `people` is.
    Raises UsageError for a kind or fill that there is not, and a density that is no share.
    """
    check_choice("biographies", "kind", kind, KINDS)
    check_choice("biographies", "fill", fill, _FILLS)
    if not 0 <= density <= 1:
        raise UsageError(f"a density of {density} is no share", fix="give a number from 0 to 1")
    form = _Form(KINDS[kind], turns, max(2, people_asked), density)
    if fill == "dense":
        seed = rng.getrandbits(64)
        return stack(space, lambda units: form.page(random.Random(seed), units), least=max(4, people_asked))
    facts, asked = form.facts(rng, max(people, people_asked, 2))
    return hide(rng, space, facts, asked, people=len(facts))


class _Form:
    """What is told of people, and asked."""

    def __init__(self, kind: Kind, turns: int, people_asked: int, density: float) -> None:
        self.kind, self.turns, self.people_asked, self.density = kind, turns, people_asked, density

    def facts(self, rng: random.Random, amount: int) -> tuple[list[str], list[Asked]]:
        """The biographies, and the questions with the numbers of those that answer them."""
        people = draw(rng, amount)
        attributes = self.kind.attributes if self.density == 1 else (rng.choice(self.kind.attributes),)
        chosen = self.kind.choose(rng, people, Wish(self.turns, self.people_asked, attributes))
        self._thin(rng, people, chosen)
        asked: list[Asked] = [(self.kind.ask(people, needs), sorted({i for i, _ in needs})) for needs in chosen]
        told = [self.kind.style(rng, person) for person in people]
        return [f" [{i}]{one}" for i, one in enumerate(told, 1)] if self.kind.numbered else told, asked

    def page(self, rng: random.Random, amount: int) -> Sample:
        """A page of biographies alone, one a line."""
        facts, asked = self.facts(rng, amount)
        page = Page()
        spans = [page.add("\n" * bool(i) + fact.strip()) for i, fact in enumerate(facts)]
        return page.sample(located(spans, asked), people=amount)

    def _thin(self, rng: random.Random, people: list[Person], chosen: list[Needs]) -> None:
        """Leave the asked attributes out of other biographies, as the density says."""
        if self.density == 1:
            return
        kept = {need for needs in chosen for need in needs}
        for attribute in dict.fromkeys(attribute for needs in chosen for _, attribute in needs):
            for i, person in enumerate(people):
                if (i, attribute) not in kept and attribute in person.said and rng.random() >= self.density:
                    del person.said[attribute]
