"""Updates: numbered facts, later ones overwrite earlier ones; what holds now, what did before, how often it changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import Asked, hide, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material.revisions import Book, Thing, draw

CARD = Card(
    scope="several facts",
    diffusion="scattered",
    source="our own, after MemoryAgentBench's FactConsolidation (Hu et al. 2025): facts that later facts overwrite",
    chances={"updates_times": 0.12, "updates_deleted": 0.29, "updates_two_hop": 0.02},
    guess={"updates_deleted": 0.5},
    version=2,
    presets={f"updates_{kind}": {"kind": kind} for kind in ("latest", "before", "times", "two_hop", "deleted")},
)
_RULE = "A fact with a higher number replaces an earlier one."
_FILLS = ("dense", "prose")
_UNKNOWN = "Not known"
_LEAST = 12


def make(
    rng: random.Random,
    space: Space,
    *,
    kind: str = "latest",
    fill: str = "dense",
    facts: int = 24,
    revoked: float = 0.2,
    turns: int = 1,
) -> Sample:
    """Keepers of gates and their towns; each is set by one to nine facts, numbered in their order.

    kind: `latest` asks for the value that holds now, `before` for the one it replaced, `times` for how many changes
    there were, `two_hop` for the town of the keeper of a gate, `deleted` half of the time for something that was
    revoked in the end, where the reply must abstain. fill: `dense` has as many facts as fit, `prose` hides `facts` of
    them (12 or more) in prose. revoked: the share of things whose last value is revoked, of those that change.
    Raises UsageError for another kind or fill.
    """
    check_choice("updates", "kind", kind, _KINDS)
    check_choice("updates", "fill", fill, _FILLS)
    if fill == "prose":
        book = draw(rng, max(facts, _LEAST), revoked)
        return hide(rng, space, [f" {fact}" for fact in book.facts], _KINDS[kind](rng, book, turns))
    seed = rng.getrandbits(64)

    def build(units: int) -> Sample:
        again = random.Random(seed)
        book = draw(again, units, revoked)
        page = Page()
        spans = [page.add("\n" * bool(i) + fact) for i, fact in enumerate(book.facts)]
        return page.sample(located(spans, _KINDS[kind](again, book, turns)), facts=units)

    return stack(space, build, least=_LEAST)


def _latest(rng: random.Random, book: Book, turns: int) -> list[Asked]:
    return [_now(book, thing) for thing in _shuffled(rng, book.standing)[:turns]]


def _before(rng: random.Random, book: Book, turns: int) -> list[Asked]:
    asked: list[Asked] = []
    for thing in _shuffled(rng, [thing for thing in book.standing if len(thing.values) > 1])[:turns]:
        query = f"{_RULE} What was the {thing.name} just before the last change of it?"
        value, later = thing.values[-2:]
        decoys = tuple(other for other in book.others(thing, value) if other != later)
        turn = Turn(query, f" {value}", scorer="kv_substring", options={"any_case": True}, decoys=decoys)
        asked.append((turn, thing.places))
    return asked


def _times(rng: random.Random, book: Book, turns: int) -> list[Asked]:
    """Every number of changes is as likely as any other that there is."""
    pools: dict[int, list[Thing]] = {}
    for thing in _shuffled(rng, book.standing):
        pools.setdefault(len(thing.values) - 1, []).append(thing)
    asked: list[Asked] = []
    while len(asked) < turns and pools:
        changes = rng.choice(sorted(pools))
        thing = pools[changes].pop()
        if not pools[changes]:
            del pools[changes]
        query = f"How many times did the {thing.name} change after it was first given? Answer with a number."
        asked.append((Turn(query, f" {changes}", scorer="first_int"), thing.places))
    return asked


def _two_hop(rng: random.Random, book: Book, turns: int) -> list[Asked]:
    asked: list[Asked] = []
    for keeper in _shuffled(rng, [thing for thing in book.keepers.values() if not thing.revoked])[:turns]:
        town = book.towns[keeper.values[-1]]
        query = f"{_RULE} What is now the town of whoever is now the {keeper.name}?"
        asked.append((_turn(query, book, town), sorted([*keeper.places, *town.places])))
    return asked


def _deleted(rng: random.Random, book: Book, turns: int) -> list[Asked]:
    pools = [_shuffled(rng, book.revoked), _shuffled(rng, book.standing)]
    asked: list[Asked] = []
    while len(asked) < turns and any(pools):
        asked.append(_now(book, (rng.choice(pools) or pools[0] or pools[1]).pop()))
    return asked


def _now(book: Book, thing: Thing) -> Asked:
    query = f"{_RULE} What is the {thing.name} now? If that is no longer known, answer: {_UNKNOWN}."
    if not thing.revoked:
        return _turn(query, book, thing), thing.places
    return Turn(query, f" {_UNKNOWN}.", scorer="abstains", decoys=book.others(thing, "")), thing.places


def _turn(query: str, book: Book, thing: Thing) -> Turn:
    """What a thing is now; a reply may tell what it was before, which is no decoy."""
    value = thing.values[-1]
    earlier = [before for before in dict.fromkeys(thing.values) if before != value]
    decoys = tuple(other for other in book.others(thing, value) if other not in earlier)
    return Turn(query, f" {value}", scorer="last_named", options={"earlier": earlier}, decoys=decoys)


def _shuffled(rng: random.Random, things: list[Thing]) -> list[Thing]:
    return rng.sample(things, len(things))


_KINDS: Mapping[str, Callable[[random.Random, Book, int], list[Asked]]] = {
    "latest": _latest,
    "before": _before,
    "times": _times,
    "two_hop": _two_hop,
    "deleted": _deleted,
}
