"""Ancestors: who is whose mother or grandfather, in shuffled sentences; a relation over many links is asked for.

Other families stand among the sentences, so that the one who is nobody's child is not the answer by that alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, hide, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space, TooShort
from farspan.tasks.material import kinship
from farspan.tasks.material.kinship import Family

CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="NeedleBench (Li et al. 2024), Ancestral Trace Challenge; with other families and people amid the chain",
    chance=0.02,
    chances={"atc": 0.0},
    version=2,
    presets={
        "atc": {"needles": 0, "families": 1},
        "atc_2": {"needles": 2},
        "atc_4": {"needles": 4},
        "atc_8": {"needles": 8},
        "atc_crowd": {"needles": 4, "hidden": "crowd"},
        "needlebench_multi_reasoning": {"needles": 5, "fewest": 2, "kind": "eldest", "hidden": "prose"},
    },
)
KINDS = ("eldest", "ancestor", "descendant", "distance")
_HIDDEN = ("dense", "prose", "crowd")
_LARGEST, _MOST_LINKS, _MOST_PEOPLE, _RESTATED = 2000, 512, 300_000, 3
_RULE = "A parent is 1 generation above, a grandparent 2. Gender and family names mean nothing."
_EXAMPLE = "Tom is the dad of Ann. Ann is the grandma of Sue."
_EXAMPLES = {
    "eldest": "the eldest known ancestor of Sue: Sue, Ann (2), Tom (3): \\boxed{Tom}",
    "ancestor": "the ancestor of Sue 3 generations above: Sue, Ann (2), Tom (3): \\boxed{Tom}",
    "descendant": "the descendant of Tom 3 generations below: Tom, Ann (1), Sue (3): \\boxed{Sue}",
    "distance": "the number of generations between Sue and Tom: Sue, Ann (2), Tom (3): \\boxed{3}",
}


def make(
    rng: random.Random,
    space: Space,
    *,
    needles: int = 4,
    fewest: int = 0,
    families: int = 3,
    kind: str = "any",
    hidden: str = "dense",
    turns: int = 1,
) -> Sample:
    """Questions over `needles` links (from `fewest` on, where given), with `families` other families beside.

    needles=0 takes as many links as fit with the answer that walks them, 512 at the most as in the paper, and beyond
    that more families; prose only fills what is left.

    Each family has one link more than is asked about, so that who is asked for need not stand at its end. Where the
    families do not fit there are fewer of them, but one.
    kind: eldest, ancestor, descendant, distance, or any of them. hidden: `dense`, one sentence upon the other within
    prose; scattered in `prose`; or `crowd`, no prose and as many families as fit. There are no decoys, since a reply
    may think aloud; its last box counts. Raises UsageError for knobs that cannot be.
    """
    if kind not in ("any", *KINDS) or hidden not in _HIDDEN:
        raise UsageError(
            f"ancestors knows no {kind!r}, {hidden!r}", fix=f"any, {', '.join(KINDS)}; {', '.join(_HIDDEN)}"
        )
    full = needles == 0 and hidden == "dense"
    if needles < 1 - full or families < 0 or fewest > needles or (needles + 2) * (families + 1) > _LARGEST:
        raise UsageError(
            f"{families + 1} families of {fewest or needles} to {needles} links cannot be",
            fix=f"1 link or more (0, as many as fit, where dense), at most {_LARGEST:,} people",
        )
    links = rng.randint(fewest, needles) if fewest > 0 else needles
    kinds = KINDS if kind == "any" else (kind,)
    seed = rng.getrandbits(64)

    def draw(links: int, families: int) -> tuple[list[str], list[Asked]]:
        return _told(random.Random(seed), space, links, families, kinds, turns)

    if full:
        return _full(space, families + 1, draw)
    if hidden == "crowd":
        return stack(space, lambda units: _crowd(draw(links, units), links))
    while True:
        told, asked = draw(links, families + 1)
        try:
            if hidden == "prose":
                return hide(rng, space, told, asked, links=links, families=families)
            block = "\n" + "".join(told).lstrip() + "\n"
            return hide(rng, space, [block], [(turn, [0]) for turn, _ in asked], links=links, families=families)
        except TooShort:
            if families <= 1:
                raise
            families -= 1


def _full(space: Space, families: int, draw: Callable[[int, int], tuple[list[str], list[Asked]]]) -> Sample:
    """As many links as fit, and once they are the most there may be, more families."""

    def build(units: int) -> Sample:
        links = min(units, _MOST_LINKS)
        return _crowd(draw(links, families + units - links), links)

    return stack(space, build, most=_MOST_LINKS + _MOST_PEOPLE // (_MOST_LINKS + 2) - families)


def _told(
    rng: random.Random, space: Space, links: int, families: int, kinds: Sequence[str], turns: int
) -> tuple[list[str], list[Asked]]:
    """The sentences of all families, shuffled, and questions with the numbers of the sentences that they need.

    A reply may say every link again in a short sentence, which takes about three times the tokens of a bare walk.
    """
    names = words.people(rng, (links + 2) * families)
    made = [kinship.draw(rng, names[first : first + links + 2]) for first in range(0, len(names), links + 2)]
    order = [(owner, at) for owner in range(families) for at in range(links + 1)]
    rng.shuffle(order)
    place = {fact: i for i, fact in enumerate(order)}
    asked: list[Asked] = []
    for choice in rng.sample(range(families * len(kinds)), min(turns, families * len(kinds))):
        owner, kind = choice // len(kinds), kinds[choice % len(kinds)]
        top = 0 if kind == "eldest" else rng.randrange(2)
        needed = [place[owner, top + i] for i in range(links)]
        turn = _turn(made[owner], kind, top, top + links)
        most = _RESTATED * space.count(turn.answer) + space.slack
        asked.append((replace(turn, max_new_tokens=most), needed))
    return [" " + made[owner].told[at] for owner, at in order], asked


def _crowd(told: tuple[list[str], list[Asked]], links: int) -> Sample:
    page = Page()
    spans = [page.add(fact if number else fact.lstrip()) for number, fact in enumerate(told[0])]
    return page.sample(located(spans, told[1]), links=links)


def _turn(family: Family, kind: str, upper: int, lower: int) -> Turn:
    high, low, amount = family.names[upper], family.names[lower], family.above(lower, upper)
    start, end = (upper, lower) if kind == "descendant" else (lower, upper)
    question, answer = {
        "eldest": (f"the eldest known ancestor of {low}", high),
        "ancestor": (f"the ancestor of {low} {_many(amount)} above", high),
        "descendant": (f"the descendant of {high} {_many(amount)} below", low),
        "distance": (f"the number of generations between {low} and {high}", str(amount)),
    }[kind]
    query = f"{_RULE} Example: {_EXAMPLE} Give {_EXAMPLES[kind]}\nIn the same way, give {question}."
    return Turn(query, f" {family.walk(start, end)}: \\boxed{{{answer}}}", (answer,), "boxed_exact")


def _many(generations: int) -> str:
    return f"{generations} generation{'s' * (generations != 1)}"
