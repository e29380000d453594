"""Common words: a numbered list of words where a few stand far more often than the rest; the few are asked for.

Nothing is hidden anywhere: the answer is a count over the whole list, which looking things up does not give.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space, TooShort

CARD = Card(
    scope="all",
    diffusion="computed",
    chance=0.02,
    source="RULER (Hsieh et al. 2024), common words extraction; the words are shuffled anew in every sample",
    version=2,
    presets={"ruler_cwe": {"example": True}},
)
_LONG, _EXAMPLE_FROM = 4096, 2048
_USUAL, _SCARCE, _SCARCEST = (30, 3), (6, 1), (3, 1)
_DECOYS, _FEW_SYLLABLES = 24, 100_000
_VERBS = tuple(
    "admit agree argue arrive bake bathe begin behave belong bless boast borrow bounce bow breathe bury carve cease "
    "cheer chew climb collect complain confess consider cough crawl dare decide deliver deny depend dig dine drift "
    "earn embrace escape explain fail faint fetch flee float fold frown gather glance govern grin guess hasten "
    "hesitate hurry imagine invite kneel laugh lean lend linger marry mend mourn obey observe offer plead ponder pour "
    "prevent quarrel raise refuse rejoice rely repeat rest roam scatter scold seek shiver sigh sneeze sob soak sow "
    "spare stir stumble succeed swear sweep tease thank trace tremble vanish wander warn weep whisper whistle wipe "
    "wonder yawn yield".split()
)


def make(
    rng: random.Random,
    space: Space,
    *,
    common: int = 10,
    common_repeats: int = 0,
    rare_repeats: int = 0,
    example: bool = False,
) -> Sample:
    """`common` words that stand `common_repeats` times each, and as many others as fit, `rare_repeats` times each.

    Where no repeats are given they are 30 and 3, below 4,096 tokens 6 and 1. Where that does not fit they are 3 and 1,
    and then common words are left out, down to three; the sample's `meta` says what was used. Once the stock of
    real words is used up, words that mean nothing but can be said go on. `example` puts a worked example into the
    question, from 2,048 tokens on. Raises TooShort where three common and three other words do not fit.
    """
    seed = rng.getrandbits(64)
    shown = _example(random.Random(rng.getrandbits(64)), space.length) if example else ""
    given = (common_repeats, rare_repeats) if common_repeats and rare_repeats else ()
    for amount, (often, seldom) in _scales(space.length, common, given):
        plan = (amount, often, seldom, shown)

        def build(rare: int, plan: tuple[int, int, int, str] = plan) -> Sample:
            return _list(random.Random(seed), rare, *plan)

        try:
            return stack(space, build, least=amount)
        except TooShort as error:
            refused = error
    raise refused


def _scales(length: int, common: int, given: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, int]]]:
    """How many common words, and how often common and other ones stand, from the wanted to the least."""
    if given:
        yield common, (given[0], given[1])
        return
    if length >= _LONG:
        yield common, _USUAL
    yield common, _SCARCE
    for amount in range(common, min(3, common) - 1, -1):
        yield amount, _SCARCEST


def _list(rng: random.Random, rare: int, common: int, often: int, seldom: int, example: str) -> Sample:
    drawn = _words(rng, common + rare)
    wanted, others = drawn[:common], drawn[common:]
    page = Page()
    page.add(_numbered(rng, wanted, others, often, seldom))
    query = example + _question(common)
    turn = Turn(query, " " + ", ".join(wanted), tuple(wanted), "all_substring", decoys=tuple(others[:_DECOYS]))
    return page.sample((turn,), common=common, common_repeats=often, rare_repeats=seldom, rare=rare)


def _numbered(rng: random.Random, wanted: list[str], others: list[str], often: int, seldom: int) -> str:
    listed = wanted * often + others * seldom
    rng.shuffle(listed)
    return " ".join(f"{number}. {word}" for number, word in enumerate(listed, start=1))


def _question(common: int) -> str:
    return f"Which {common} words occur most often in the numbered list? Give the words alone."


def _example(rng: random.Random, length: int) -> str:
    """A small list with its question and answer; nothing where the length is too short for it."""
    if length < _EXAMPLE_FROM:
        return ""
    rare, often, seldom = (30, 10, 3) if length >= _LONG else (10, 3, 1)
    drawn = _words(rng, 10 + rare)
    listed = _numbered(rng, drawn[:10], drawn[10:], often, seldom)
    return f"An example: {listed}\n{_question(10)} {', '.join(drawn[:10])}\n\nNow the long list. "


def _words(rng: random.Random, amount: int) -> list[str]:
    """`amount` distinct words in random order, real ones as far as they go."""
    stock = dict.fromkeys([*words.ADJECTIVES, *words.NOUNS, *words.TRADES, *_VERBS])
    if amount > len(stock):
        stock |= dict.fromkeys(words.nonsense(rng, amount, 3 if amount < _FEW_SYLLABLES else 4))
        return rng.sample(list(stock)[:amount], amount)
    return rng.sample(list(stock), amount)
