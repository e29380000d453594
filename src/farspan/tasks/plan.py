"""Plan: wishes for a long plan are scattered in prose; the answer is the plan, an entry a unit, with every wish met.

A wish asks for two literal words in one unit, in a range of units or in every so manieth; beside these units they must
not stand. The units grow in number with the length, so that the plan takes about a third of it. As many places are
checked for words that they must lack as for those they must have, so that a plan with all words everywhere earns half.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import cycle

from farspan.errors import UsageError
from farspan.tasks.kit import words as pools
from farspan.tasks.kit.card import MULTI_TURN, Card, check_choice
from farspan.tasks.kit.fillers import Synthetic
from farspan.tasks.kit.layout import Asked, hide
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import Space

_SCENARIOS = {
    "ship_log": ("Day", "log of the ship {}"),
    "train_timetable": ("Stop", "guide to the railway of {}"),
    "tower_floors": ("Floor", "description of the tower of {}"),
    "garden_beds": ("Bed", "planting book of the garden of {}"),
}
CARD = Card(
    scope="all",
    diffusion="scattered",
    source="LongGenBench (Wu et al. 2024), once, range and periodic instructions; scenarios and checks are ours",
    chance=0.5,
    version=2,
    presets={f"sgt_{name}": {"scenario": name} for name in _SCENARIOS},
)
_LOOKS = tuple(
    "speckled braided lacquered dented gilded mossy striped feathered waxed chipped quilted tarnished woven "
    "polished cracked knotted fringed stained padded carved etched frosted glazed hinged jewelled laced mended "
    "oiled pleated riveted scented tufted varnished wrinkled bevelled corded dyed enamelled folded grooved".split()
)
_OBJECTS = tuple(
    "compass teacup barometer sextant tambourine parasol abacus bellows chessboard cradle decanter easel "
    "flute gavel hourglass inkwell jigsaw kite lyre mandolin notebook oboe pendulum quill rattle sundial "
    "telescope ukulele viola weathervane xylophone yoke zither anvil bagpipe candelabra doorbell "
    "figurine globe hammock".split()
)
_FEWEST = 3


@dataclass(frozen=True, slots=True)
class _Wish:
    """Two words, the units that must have them, and how it is said which units these are."""

    phrase: str
    where: str
    units: range


def make(rng: random.Random, space: Space, *, scenario: str = "ship_log", words: int = 30, turns: int = 1) -> Sample:
    """One plan a turn, each with wishes of its own, of as many units of about `words` words as take a third of all.

    Raises UsageError for an unknown scenario, too few words or too many turns.
    """
    check_choice("plan", "scenario", scenario, _SCENARIOS)
    if words < 1 or turns > len(pools.LAST_NAMES):
        raise UsageError(
            f"plan cannot write {words} words a unit for {turns} turns",
            fix=f"ask for one word or more and at most {len(pools.LAST_NAMES)} turns",
        )
    unit, title = _SCENARIOS[scenario]
    size = space.count(f"#*# {unit} 100:") + space.count(_text(random.Random(0), words, [])) + 2
    units = max(_FEWEST, space.length // (3 * (turns if MULTI_TURN in space.modes else 1)) // size)
    told: list[tuple[int, str]] = []
    made: list[Turn] = []
    for number, name in enumerate(rng.sample(pools.LAST_NAMES, turns)):
        wishes = _wishes(rng, units, unit)
        told += [(number, f" The {title.format(name)} {_sentence(wish, unit)}") for wish in wishes]
        made.append(_turn(rng, title.format(name), unit, units, words, wishes))
    rng.shuffle(told)
    asked: list[Asked] = [
        (turn, [i for i, (owner, _) in enumerate(told) if owner == number]) for number, turn in enumerate(made)
    ]
    return hide(rng, space, [fact for _, fact in told], asked, units=units)


def _wishes(rng: random.Random, units: int, unit: str) -> list[_Wish]:
    """Wishes for single units, for ranges and for rhythms, no two with the same words."""
    grid = range(len(_LOOKS) * len(_OBJECTS))
    singles = min(max(2, units // 6), len(grid) // 2)
    places = [_single(rng, units, unit) for _ in range(singles)]
    places += [_range(rng, units, unit) for _ in range(min(max(1, units // 30), len(grid) // 8))]
    places += [_rhythm(rng, units, unit) for _ in range(min(3, 1 + units // 60))]
    drawn = rng.sample(grid, len(places))
    phrases = [f"{_LOOKS[i // len(_OBJECTS)]} {_OBJECTS[i % len(_OBJECTS)]}" for i in drawn]
    return [_Wish(phrase, where, which) for phrase, (where, which) in zip(phrases, places, strict=True)]


def _single(rng: random.Random, units: int, unit: str) -> tuple[str, range]:
    at = rng.randint(1, units)
    return f"in {unit} {at}", range(at, at + 1)


def _range(rng: random.Random, units: int, unit: str) -> tuple[str, range]:
    width = rng.randint(2, min(5, units - 1))
    first = rng.randint(1, units - width + 1)
    return f"in each {unit} from {first} to {first + width - 1}", range(first, first + width)


def _rhythm(rng: random.Random, units: int, unit: str) -> tuple[str, range]:
    pace = rng.randint(2, max(2, min(9, units // 2)))
    first = rng.randint(1, pace)
    return f"in {unit} {first} and then every {pace} after it", range(first, units + 1, pace)


def _sentence(wish: _Wish, unit: str) -> str:
    return f'must have the words "{wish.phrase}" {wish.where}, and in no other {unit}.'


def _turn(rng: random.Random, title: str, unit: str, units: int, words: int, wishes: list[_Wish]) -> Turn:
    needed: dict[int, list[str]] = {}
    for wish in wishes:
        for at in wish.units:
            needed.setdefault(at, []).append(wish.phrase)
    entries = [f"#*# {unit} {at}: {_text(rng, words, needed.get(at, []))}" for at in range(1, units + 1)]
    query = (
        f"Write the {title} from {unit} 1 to {unit} {units} with about {words} words each, "
        f"and with the words that it must have: each of them where it must stand, and nowhere else. "
        f'Begin each on a new line with "#*# {unit} 1:" and so on, and end with "*** finished ***".'
    )
    options = {"units": units, "unit": unit, "checks": _checks(rng, wishes, units)}
    phrases = tuple(wish.phrase for wish in wishes)
    return Turn(query, "\n".join((*entries, "*** finished ***")), phrases, "constraints", options)


def _checks(rng: random.Random, wishes: list[_Wish], units: int) -> list[dict[str, object]]:
    """Every unit that must have its words; and as many that must lack some, first of all those with no check yet."""
    has = [(wish.phrase, at) for wish in wishes for at in wish.units]
    wanted = {wish.phrase: wish.units for wish in wishes}
    checked = {at for _, at in has}
    bare = [at for at in rng.sample(range(1, units + 1), units) if at not in checked]
    lacks: dict[tuple[str, int], None] = {}
    for phrase, _ in cycle(rng.sample(has, len(has))):
        at = bare.pop() if bare else rng.randint(1, units)
        if at not in wanted[phrase]:
            lacks[phrase, at] = None
        if len(lacks) == len(has):
            break
    return [
        {"kind": kind, "unit": at, "phrase": phrase}
        for kind, checks in (("has", has), ("lacks", lacks))
        for phrase, at in checks
    ]


def _text(rng: random.Random, words: int, phrases: list[str]) -> str:
    """About so many words of prose with the phrases in it."""
    text = "".join(f" Here was the {phrase}." for phrase in phrases)
    for piece in Synthetic().pieces(rng):
        if len(text.split()) >= words:
            break
        text += " " + piece.strip()
    return text.strip()
