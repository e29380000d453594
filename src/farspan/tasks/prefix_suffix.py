"""Prefix and suffix: lines of random characters; the one that begins with a prefix and ends with a suffix is asked for.

Each prefix begins two lines and each suffix ends two, but never the same two: neither half finds the line alone, so
nothing that copies what stood behind the last match answers it.
"""

from __future__ import annotations

import random
import string

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="one fact",
    diffusion="verbatim",
    source="SCBench (Li et al. 2024), retrieval by prefix and suffix; here neither is unique by itself",
    presets={"shared_prefix_suffix": {"turns": 5}},
)
_DECOYS = 24
_CHARACTERS = string.ascii_lowercase + string.digits


def make(
    rng: random.Random, space: Space, *, letters: int = 32, affix: int = 4, alone: bool = False, turns: int = 1
) -> Sample:
    """Lines of `letters` characters, with prefixes and suffixes of `affix`; `turns` lines are asked, evenly spread.

    alone: every prefix and every suffix belongs to one line only, as in SCBench. Raises UsageError for affixes that
    are shorter than three characters or leave nothing between them.
    """
    if not 3 <= affix <= (letters - 1) // 2:
        raise UsageError(
            f"affixes of {affix} do not suit lines of {letters} characters",
            fix=f"give an affix of 3 to {max(3, (letters - 1) // 2)}",
        )
    seed = rng.getrandbits(64)

    def build(pairs: int) -> Sample:
        return _page(random.Random(seed), 2 * pairs, letters, affix, alone, turns)

    return stack(space, build, least=max(2, (turns + 1) // 2))


def _page(rng: random.Random, amount: int, letters: int, affix: int, alone: bool, turns: int) -> Sample:
    shares = [rng.random() for _ in range(turns)]
    lines = _lines(rng, amount, letters, affix, alone)
    page = Page()
    spans = [page.add("\n" * bool(number) + line) for number, line in enumerate(lines)]
    places = [int((turn + share) * amount / turns) for turn, share in enumerate(shares)]
    rng.shuffle(places)
    asked: list[Asked] = [(_turn(lines, place, affix), [place]) for place in places]
    return page.sample(located(spans, asked))


def _lines(rng: random.Random, amount: int, letters: int, affix: int, alone: bool) -> list[str]:
    """Line 2i shares its prefix with line 2i + 1 and its suffix with line 2i - 1, before they are shuffled."""
    share = 1 if alone else 2
    first = _distinct(rng, amount // share, affix)
    last = _distinct(rng, amount // share, affix)
    lines = [
        first[i // share] + "".join(rng.choices(_CHARACTERS, k=letters - 2 * affix)) + last[(i + 1) % amount // share]
        for i in range(amount)
    ]
    rng.shuffle(lines)
    return lines


def _distinct(rng: random.Random, amount: int, size: int) -> list[str]:
    drawn: dict[str, None] = {}
    while len(drawn) < amount:
        drawn["".join(rng.choices(_CHARACTERS, k=size))] = None
    return list(drawn)


def _turn(lines: list[str], place: int, affix: int) -> Turn:
    line = lines[place]
    prefix, suffix = line[:affix], line[-affix:]
    akin = [other for other in lines if other.startswith(prefix) or other.endswith(suffix)]
    others = [other for other in (*akin, *lines[: 2 * _DECOYS]) if other != line]
    return Turn(
        f"Which line begins with {prefix} and ends with {suffix}?",
        f" {line}",
        decoys=tuple(dict.fromkeys(others))[:_DECOYS],
    )
