"""Frequent words: a text of made-up words whose frequencies fall like those of a language; the most frequent are asked.

The word at rank k stands in proportion to k to the power of -alpha. Rank 1 is the mark `...`, as in RULER, so that the
answer is not simply what fills the text.
"""

from __future__ import annotations

import random
import string

from farspan.errors import UsageError
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="all",
    diffusion="computed",
    source="RULER (Hsieh et al. 2024), frequent words extraction; the words are shuffled anew in every sample",
    version=2,
    presets={"ruler_fwe": {"alpha": 2.0, "asked": 3}},
)
_MARK, _TOKENS_A_WORD, _LETTERS = "...", 50, 6
_DECOYS, _SUMMED = 24, 1000


def make(rng: random.Random, space: Space, *, alpha: float = 2.0, asked: int = 3, vocabulary: int = 0) -> Sample:
    """Words drawn after a zeta distribution of exponent `alpha`; the `asked` most frequent after rank 1 are the answer.

    vocabulary: how many different words there are; 0 takes one for 50 tokens of the length, as RULER does. Every
    asked word stands at least once more than the next one. Raises UsageError for an alpha of 1 or less.
    """
    if alpha <= 1:
        raise UsageError(f"alpha is {alpha}, where frequencies have no sum", fix="give more than 1, such as 2.0")
    size = max(asked + 2, vocabulary or space.length // _TOKENS_A_WORD)
    seed, total = rng.getrandbits(64), zeta(alpha)

    def build(units: int) -> Sample:
        return _text(random.Random(seed), counts(units, size, alpha, total, asked), asked)

    return stack(space, build, least=8 * asked)


def counts(units: int, size: int, alpha: float, total: float, asked: int) -> list[int]:
    """How often each rank stands in a text of about `units` words; `total` is `zeta(alpha)`."""
    drawn = [int(units * rank**-alpha / total) for rank in range(1, size + 1)]
    for place in range(asked, -1, -1):
        drawn[place] = max(drawn[place], drawn[place + 1] + 1)
    return drawn


def zeta(alpha: float) -> float:
    """The sum of k to the power of -alpha over all k from 1 on, for an alpha above 1 (Euler and Maclaurin)."""
    head = sum(rank**-alpha for rank in range(1, _SUMMED))
    return float(head + _SUMMED ** (1 - alpha) / (alpha - 1) + _SUMMED**-alpha / 2)


def _text(rng: random.Random, ranks: list[int], asked: int) -> Sample:
    vocabulary = [_MARK, *_coded(rng, len(ranks) - 1)]
    text = [word for word, often in zip(vocabulary, ranks, strict=True) for _ in range(often)]
    rng.shuffle(text)
    page = Page()
    page.add(" ".join(text))
    wanted = tuple(vocabulary[1 : asked + 1])
    present = [word for word, often in zip(vocabulary, ranks, strict=True) if often]
    query = f"Which {asked} words occur most often in the coded text? The mark {_MARK} is no word."
    turn = Turn(query, " " + ", ".join(wanted), wanted, "all_substring", decoys=tuple(present[asked + 1 :][:_DECOYS]))
    return page.sample((turn,), words=len(text), vocabulary=len(present))


def _coded(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct words of six random letters."""
    drawn: dict[str, None] = {}
    while len(drawn) < amount:
        drawn["".join(rng.choices(string.ascii_lowercase, k=_LETTERS))] = None
    return list(drawn)
