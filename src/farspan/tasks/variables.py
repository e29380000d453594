"""Variable chains: `Let silver = amber.` and `Let amber = 48213.`, scattered, among the lines of other chains.

Asked as a `chain`, the answer spells it out to its number, which the bundled model was trained on; asked by `value`,
all names that come to a number are to be listed, as in RULER's variable tracking.
"""

from __future__ import annotations

import random
from itertools import pairwise

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="RULER (Hsieh et al. 2024), variable tracking; SCBench (Li et al. 2024), several chains",
    presets={
        "ruler_vt": {"ask": "value", "chains": 1, "hops": 4, "ordered": True},
        "shared_vt": {"ask": "value", "chains": 5, "hops": 4, "turns": 5, "ordered": True},
    },
)


def make(
    rng: random.Random,
    space: Space,
    *,
    chains: int = 6,
    hops: int = 2,
    turns: int = 1,
    ask: str = "chain",
    ordered: bool = False,
) -> Sample:
    """`chains` chains of `hops` steps from name to name and a number; all but the asked ones distract.

    ordered: a name is given its value before another takes it on, as in RULER; else the lines lie in any order.
    """
    if ask not in ("chain", "value"):
        raise UsageError(f"variables cannot ask for {ask!r}", fix="chain or value")
    names = _names(rng, chains * (hops + 1))
    numbers = words.numbers(rng, chains)
    links = [[*names[chain * (hops + 1) : (chain + 1) * (hops + 1)], numbers[chain]] for chain in range(chains)]
    lines = [(chain, f" Let {left} = {right}.") for chain in range(chains) for left, right in pairwise(links[chain])]
    rng.shuffle(lines)
    if ordered:
        waiting = [[f" Let {left} = {right}." for left, right in pairwise(chain)] for chain in links]
        lines = [(owner, waiting[owner].pop()) for owner, _ in lines]
    asked: list[Asked] = []
    for chain in rng.sample(range(chains), min(turns, chains)):
        others = [other[0] if ask == "value" else other[-1] for other in links if other is not links[chain]]
        needed = [i for i, (owner, _) in enumerate(lines) if owner == chain]
        asked.append((_turn(links[chain], others, ask), needed))
    return hide(rng, space, [line for _, line in lines], asked, hops=hops, chains=chains)


def _turn(links: list[str], others: list[str], ask: str) -> Turn:
    if ask == "chain":
        return Turn(f"What is the chain of {links[0]}?", " " + " = ".join(links), scorer="exact", decoys=tuple(others))
    return Turn(
        f"Which names come to the number {links[-1]}? List them all.",
        " " + ", ".join(links[:-1]),
        tuple(links[:-1]),
        "all_substring",
        decoys=tuple(others),
    )


def _names(rng: random.Random, amount: int) -> list[str]:
    if amount <= len(words.ADJECTIVES):
        return rng.sample(words.ADJECTIVES, amount)
    return words.nonsense(rng, amount)
