"""Path traversal: every town has one way out, told in any order; the answer is a whole route, step by step.

How many steps there are grows with the length, so that the route takes about a third of it: long input and output.
"""

from __future__ import annotations

import random
from itertools import pairwise

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="LongProc (Ye et al. 2025), path traversal: its graphs, with towns and wording of our own",
    presets={"longproc_path": {}},
)
_VEHICLES = ("barge", "coach", "train", "tram")
_FORM = "From [town], take the [vehicle] to [town]."


def make(rng: random.Random, space: Space, *, turns: int = 1, share: float = 2 / 3) -> Sample:
    """As many towns as fit; `share` of them lie on one road, and each turn asks for another stretch of it.

    The other towns lead into the road or into each other. Raises UsageError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise UsageError(f"path_traversal cannot put {share} of its towns on the road", fix="more than 0, at most 1")
    seed = rng.getrandbits(64)
    least = int((2 * turns + 1) / share) + 2
    return stack(space, lambda towns: _map(random.Random(seed), towns, turns, share), least=least)


def _map(rng: random.Random, amount: int, turns: int, share: float) -> Sample:
    towns = [name.title() for name in words.keys(rng, amount)]
    road = towns[: max(2 * turns + 1, int(amount * share))]
    ways = dict(pairwise(road))
    for town in towns[len(road) - 1 :]:
        ways[town] = _other(rng, towns, town)
    legs = {town: (rng.choice(_VEHICLES), goal) for town, goal in ways.items()}
    told = rng.sample(towns, amount)
    page = Page()
    spans = [page.add("\n" * bool(i) + _statement(town, *legs[town])) for i, town in enumerate(told)]
    place = {town: number for number, town in enumerate(told)}
    asked: list[Asked] = []
    steps = (len(road) - 1) // turns
    for turn in rng.sample(range(turns), turns):
        stretch = road[turn * steps : (turn + 1) * steps + 1]
        asked.append((_turn(stretch, legs), sorted(place[town] for town in stretch[:-1])))
    return page.sample(located(spans, asked), steps=steps, towns=amount)


def _turn(stretch: list[str], legs: dict[str, tuple[str, str]]) -> Turn:
    route = tuple(f"From {town}, take the {legs[town][0]} to {legs[town][1]}." for town in stretch[:-1])
    query = (
        f"Write the route from {stretch[0]} to {stretch[-1]}: all its steps in their order, one on each line, between "
        f"<Route> and </Route>, in this form: {_FORM}"
    )
    answer = "\n".join(("<Route>", *route, "</Route>"))
    return Turn(query, answer, route, "ordered_lines", {"tag": "Route"})


def _statement(town: str, vehicle: str, goal: str) -> str:
    return f"{town} has a single way out, the {vehicle} to {goal}."


def _other(rng: random.Random, towns: list[str], town: str) -> str:
    """Any town but this one."""
    drawn = rng.randrange(len(towns) - 1)
    return towns[drawn] if towns[drawn] != town else towns[-1]
