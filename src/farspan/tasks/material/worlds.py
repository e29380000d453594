"""Small worlds: people walk between places, take, put down and hand over things; what becomes of it is known.

The names are none of the fillers', so that prose around a story does not add to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import NamedTuple

from farspan.tasks.material.stories import Question

PEOPLE = ("Imke", "Rufus", "Tamsin", "Yusuf")
PLACES = ("attic", "cellar", "nursery", "pantry", "study", "veranda")
THINGS = ("compass", "thimble", "trumpet", "whistle")
COUNTS = ("none", "one", "two", "three", "four")
NOTHING = "nothing"
_NONE = (COUNTS[0], NOTHING, "no", "zero", "0", "anything", "empty-handed")
_TOLD = {
    "go": ("{who} walked over to the {what}.", "{who} hurried to the {what}.", "{who} strolled to the {what}."),
    "take": ("{who} took the {what}.", "{who} picked the {what} up.", "{who} got hold of the {what}."),
    "drop": ("{who} put the {what} down.", "{who} let go of the {what}.", "{who} left the {what} behind."),
    "give": ("{who} handed the {what} to {whom}.", "{who} passed the {what} on to {whom}."),
}
_WEIGHTS = {"go": 5, "take": 4, "drop": 2, "give": 4}


class Deed(NamedTuple):
    """What someone did: `go` to a place, `take`, `drop` or `give` a thing (to whom)."""

    kind: str
    who: str
    what: str
    whom: str = ""


@dataclass(slots=True)
class Stop:
    """A place where a thing has been, and the numbers of the deeds that show it."""

    place: str
    needed: list[int]


@dataclass(slots=True)
class World:
    """Deeds in their order and the state after them. Deeds are counted from 0.

    seats: where each person is, and since which deed. holders: who holds a thing, and since which deed.
    trails: the places of each thing since it was first taken. handled: the deeds that changed what a person holds.
    """

    deeds: list[Deed] = field(default_factory=list)
    seats: dict[str, tuple[str, int]] = field(default_factory=dict)
    holders: dict[str, tuple[str, int]] = field(default_factory=dict)
    trails: dict[str, list[Stop]] = field(default_factory=dict)
    handled: dict[str, list[int]] = field(default_factory=dict)

    def do(self, deed: Deed) -> None:
        """Let a deed happen that is possible now."""
        at = len(self.deeds)
        self.deeds.append(deed)
        if deed.kind == "go":
            self.seats[deed.who] = deed.what, at
            for thing, (holder, since) in self.holders.items():
                if holder == deed.who:
                    self.trails[thing].append(Stop(deed.what, [since, at]))
            return
        place, since = self.seats[deed.who]
        trail = self.trails.setdefault(deed.what, [Stop(place, [since, at])])
        self.handled.setdefault(deed.who, []).append(at)
        if deed.kind == "drop":
            del self.holders[deed.what]
            trail[-1].needed.append(at)
        else:
            self.holders[deed.what] = deed.whom or deed.who, at
        if deed.whom:
            self.handled.setdefault(deed.whom, []).append(at)

    def possible(self, kind: str) -> list[Deed]:
        """All deeds of a kind that can happen now."""
        if kind == "go":
            return [Deed(kind, who, place) for who, place in product(PEOPLE, PLACES) if self._place(who) != place]
        if kind == "take":
            free = [thing for thing in THINGS if thing not in self.holders]
            return [Deed(kind, who, thing) for who, thing in product(self.seats, free) if self._near(who, thing)]
        held = [(who, thing) for thing, (who, _) in self.holders.items()]
        if kind == "drop":
            return [Deed(kind, who, thing) for who, thing in held]
        near = product(held, PEOPLE)
        return [
            Deed(kind, *one, whom) for one, whom in near if one[0] != whom and self._place(one[0]) == self._place(whom)
        ]

    def held(self, person: str) -> list[str]:
        """What a person holds, in the order of THINGS."""
        return [thing for thing in THINGS if self.holders.get(thing, ("", 0))[0] == person]

    def _place(self, person: str) -> str:
        return self.seats.get(person, ("", 0))[0]

    def _near(self, person: str, thing: str) -> bool:
        return thing not in self.trails or self.trails[thing][-1].place == self._place(person)


def play(rng: random.Random, amount: int, kinds: Sequence[str]) -> World:
    """A world in which `amount` deeds of these kinds have happened; going is always possible."""
    world = World()
    weights = [_WEIGHTS[kind] for kind in kinds]
    for _ in range(amount):
        choices = world.possible(rng.choices(kinds, weights)[0]) or world.possible("go")
        world.do(rng.choice(choices))
    return world


def told(rng: random.Random, deed: Deed) -> str:
    """A deed as a sentence."""
    return rng.choice(_TOLD[deed.kind]).format(**deed._asdict())


def other_words(labels: Sequence[str]) -> dict[str, str]:
    """Other words for those of `labels` that are a number or say that there is nothing: digits, zero, none, no."""
    words = {str(number): word for number, word in enumerate(COUNTS) if word in labels}
    empty = next((label for label in (COUNTS[0], NOTHING) if label in labels), "")
    return words | ({word: empty for word in _NONE if word not in labels} if empty else {})


def _person_places(world: World) -> Iterator[Question]:
    for who, (place, at) in world.seats.items():
        yield Question(f"Where is {who}?", (place,), (at,))


def _thing_places(world: World) -> Iterator[Question]:
    for thing, trail in world.trails.items():
        yield Question(f"Where is the {thing}?", (trail[-1].place,), tuple(sorted(trail[-1].needed)))


def _places_before(world: World) -> Iterator[Question]:
    for thing, trail in world.trails.items():
        places = [stop.place for stop in trail]
        for before, stop in pairwise(trail):
            if places.count(stop.place) == 1:
                needed = tuple(sorted({*before.needed, *stop.needed}))
                yield Question(f"Where was the {thing} before the {stop.place}?", (before.place,), needed)


def _gifts(world: World) -> Iterator[Question]:
    """The last gift of its sort is asked for, whichever of its three sides is left open."""
    last: dict[str, Question] = {}
    for at, (kind, who, what, whom) in enumerate(world.deeds):
        if kind == "give":
            for text, answer in (
                (f"Who was the last to give the {what} to {whom}?", who),
                (f"To whom did {who} last give the {what}?", whom),
                (f"What did {who} last give to {whom}?", what),
            ):
                last[text] = Question(text, (answer,), (at,))
    yield from last.values()


def _counts(world: World) -> Iterator[Question]:
    for who, needed in world.handled.items():
        answer = COUNTS[len(world.held(who))]
        yield Question(f"How many things does {who} hold?", (answer,), tuple(needed))


def _holdings(world: World) -> Iterator[Question]:
    for who, needed in world.handled.items():
        yield Question(f"What does {who} hold?", tuple(world.held(who)) or (NOTHING,), tuple(needed))


@dataclass(frozen=True, slots=True)
class Plot:
    """What happens in a kind of story, how much of it, what is asked, and the words that answers are made of."""

    kinds: tuple[str, ...]
    amount: int
    ask: Callable[[World], Iterator[Question]]
    labels: tuple[str, ...]


_MOVES, _ALL = ("go", "take", "drop"), ("go", "take", "drop", "give")
PLOTS: Mapping[int, Plot] = {
    1: Plot(("go",), 10, _person_places, PLACES),
    2: Plot(_MOVES, 16, _thing_places, PLACES),
    3: Plot(_MOVES, 24, _places_before, PLACES),
    5: Plot(_ALL, 16, _gifts, (*PEOPLE, *THINGS)),
    7: Plot(_ALL, 16, _counts, COUNTS),
    8: Plot(_ALL, 16, _holdings, (*THINGS, NOTHING)),
}
"""By the number of the bAbI task whose structure they follow."""
