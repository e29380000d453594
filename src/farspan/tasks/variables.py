"""Variable chains: `Let silver = amber.` and `Let amber = 48213.`, scattered, among the lines of other chains.

Asked by `value`, all names that have a number are to be listed, as in RULER's variable tracking; asked as a `chain`,
the answer spells it out to its number, a form that only the bundled model was trained on.
"""

from __future__ import annotations

import random
from itertools import islice, pairwise

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.fillers import Noise
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="RULER (Hsieh et al. 2024), variable tracking, without its answer prefix; SCBench (Li et al. 2024), several "
    "chains",
    chances={"ruler_vt": 0.03, "shared_vt": 0.03},
    presets={
        "ruler_vt": {
            "ask": "value",
            "chains": 1,
            "hops": 4,
            "ordered": True,
            "haystack": "noise",
            "example": True,
        },
        "shared_vt": {"ask": "value", "chains": 5, "hops": 4, "turns": 5, "ordered": True},
    },
)
_DECOYS = 24
_EXAMPLE = "Example: Let alpha = beta. Let beta = 17. Which names have the value 17? alpha, beta\n"


def make(
    rng: random.Random,
    space: Space,
    *,
    chains: int = 6,
    hops: int = 2,
    turns: int = 1,
    ask: str = "value",
    ordered: bool = False,
    haystack: str = "prose",
    example: bool = False,
) -> Sample:
    """`chains` chains of `hops` steps from name to name and a number; all but the asked ones distract.

    ask: `value` (all names that have a number) or `chain`. ordered: a name is given its value before another takes it
    on, as in RULER; else the lines lie in any order. haystack: `prose` (the space's filler) or `noise`.
    example: a worked one stands before a question by value. Raises UsageError for other words.
    """
    check_choice("variables", "ask", ask, ("value", "chain"))
    check_choice("variables", "haystack", haystack, ("prose", "noise"))
    if haystack == "noise":
        space = space.filled(Noise())
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
        others = [other for other in links if other is not links[chain]]
        needed = [i for i, (owner, _) in enumerate(lines) if owner == chain]
        turn = _chained(links[chain], others) if ask == "chain" else _valued(links[chain], others, example)
        asked.append((turn, needed))
    return hide(rng, space, [line for _, line in lines], asked, hops=hops, chains=chains)


def _chained(links: list[str], others: list[list[str]]) -> Turn:
    decoys = tuple(other[-1] for other in others)
    return Turn(f"What is the chain of {links[0]}?", " " + " = ".join(links), scorer="exact", decoys=decoys)


def _valued(links: list[str], others: list[list[str]], example: bool) -> Turn:
    """The question for all names of a chain; those of the others are decoys, as many of each chain."""
    query = f"{_EXAMPLE * example}Which names have the value {links[-1]}? List them all."
    wrong = (name for names in zip(*(other[:-1] for other in others), strict=True) for name in names)
    names = tuple(links[:-1])
    return Turn(query, " " + ", ".join(names), names, "all_substring", decoys=tuple(islice(wrong, _DECOYS)))


def _names(rng: random.Random, amount: int) -> list[str]:
    if amount <= len(words.ADJECTIVES):
        return rng.sample(words.ADJECTIVES, amount)
    return words.nonsense(rng, amount)
