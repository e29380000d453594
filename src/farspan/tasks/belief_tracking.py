"""Belief tracking: people move about a house and carry things; who believes what, hour by hour, is to be traced.

A person knows where a thing lies only from when both were last in one room. Every hour needs a line of the answer.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from farspan.errors import UsageError
from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="all",
    diffusion="scattered",
    version=2,
    source="LongProc (Ye et al. 2025), theory-of-mind tracking; the stories, the rules' wording and the trace are ours",
    presets={"longproc_tom": {"events": 1, "people": 2, "things": 2, "rooms": 2}},
)
_ROOMS = tuple("attic cellar kitchen library workshop pantry study hall garage greenhouse nursery laundry".split())
_HOLDERS = tuple("shelf drawer basket trunk crate bench bucket cabinet".split())
_THINGS = tuple("coin letter key ring scarf candle map brush whistle locket thimble compass spool lantern".split())
_OUT, _UNKNOWN = "outside", "unknown"
_RULE = "Whoever is in the same room as a thing, if only for a moment, sees where it lies; nobody else learns of it. "


def make(
    rng: random.Random,
    space: Space,
    *,
    turns: int = 1,
    events: int = 3,
    people: int = 4,
    things: int = 4,
    rooms: int = 3,
) -> Sample:
    """As many hours as fit, in each of which `events` people do something; each turn asks for a person and a thing.

    Raises UsageError where there are too few or too many of something.
    """
    for knob, value, most in (
        ("people", people, len(words.FIRST_NAMES)),
        ("things", things, len(_THINGS)),
        ("rooms", rooms - 1, len(_ROOMS) - 1),
        ("events", events, people),
    ):
        if not 1 <= value <= most:
            raise UsageError(f"belief_tracking cannot have that many {knob}", fix=f"at most {most} {knob}")
    seed = rng.getrandbits(64)

    def build(hours: int) -> Sample:
        draw = random.Random(seed)
        return _story(draw, _House.furnished(draw, people, things, rooms), hours, events, turns)

    return stack(space, build, least=2)


def _story(rng: random.Random, house: _House, hours: int, events: int, turns: int) -> Sample:
    pairs = [(person, thing) for person in house.people for thing in house.things]
    asked = random.Random(rng.getrandbits(64)).sample(pairs, min(turns, len(pairs)))
    page = Page()
    page.add(f"Hour 0: {house.told()}.")
    traces = {pair: [house.line(0, *pair)] for pair in asked}
    for hour in range(1, hours + 1):
        done = "; ".join(house.act(rng, person) for person in rng.sample(list(house.people), events))
        page.add(f"\nHour {hour}: {done}.")
        for pair, trace in traces.items():
            trace.append(house.line(hour, *pair))
    turns_made = tuple(_turn(person, thing, trace, house) for (person, thing), trace in traces.items())
    return page.sample(turns_made, hours=hours, events=events)


def _turn(person: str, thing: str, trace: list[str], house: _House) -> Turn:
    lines = (*trace, f"Final Answer: {house.belief(person, thing)}")
    query = (
        f"{_RULE}Where does {person} believe the {thing} to lie at the end? For every hour, how it stands at its end, "
        f"write a line in this form: Hour 0: {person} [room or {_OUT}], {thing} [room and holder], belief "
        f"[room and holder, or {_UNKNOWN}]. Then write the last line: Final Answer: [belief]"
    )
    return Turn(query, "\n".join(lines), lines, "ordered_lines", {"final": "Final Answer", "counted": "Hour"})


@dataclass(slots=True)
class _House:
    """Where people and things are, and where each person believes each thing to be."""

    rooms: list[str]
    holders: list[str]
    people: dict[str, str]
    things: dict[str, tuple[str, str]]
    beliefs: dict[tuple[str, str], str]

    @classmethod
    def furnished(cls, rng: random.Random, people: int, things: int, rooms: int) -> _House:
        """A house with everyone and everything in some place."""
        chosen, holders = rng.sample(_ROOMS, rooms), rng.sample(_HOLDERS, 2)
        house = cls(
            chosen,
            holders,
            {name: rng.choice(chosen) for name in rng.sample(words.FIRST_NAMES, people)},
            {name: (rng.choice(chosen), rng.choice(holders)) for name in rng.sample(_THINGS, things)},
            {},
        )
        house._look()
        return house

    def told(self) -> str:
        """How all of it stands."""
        people = [f"{name} is in the {room}" for name, room in self.people.items()]
        things = [f"the {name} lies in the {room} {holder}" for name, (room, holder) in self.things.items()]
        return "; ".join(people + things)

    def belief(self, person: str, thing: str) -> str:
        """Where the person believes the thing to lie."""
        return self.beliefs.get((person, thing), _UNKNOWN)

    def line(self, hour: int, person: str, thing: str) -> str:
        """The line of the trace."""
        place = " ".join(self.things[thing])
        return f"Hour {hour}: {person} {self.people[person]}, {thing} {place}, belief {self.belief(person, thing)}"

    def act(self, rng: random.Random, person: str) -> str:
        """Let the person do something; what they did, in words."""
        here, chance = self.people[person], rng.random()
        if here == _OUT:
            return self._walk(person, rng.choice(self.rooms), "comes back into")
        if chance < 0.1:
            self.people[person] = _OUT
            return f"{person} leaves the house"
        near = [thing for thing, (room, _) in self.things.items() if room == here]
        away = rng.choice([room for room in self.rooms if room != here])
        if not near or chance < 0.5:
            return self._walk(person, away, "walks to")
        thing = rng.choice(near)
        if chance < 0.75:
            self.things[thing] = (here, self.holders[self.things[thing][1] == self.holders[0]])
            self._look()
            return f"{person} moves the {thing} to the {self.things[thing][1]}"
        self.things[thing] = (away, rng.choice(self.holders))
        self.people[person] = away
        self._look()
        return f"{person} carries the {thing} to the {away} {self.things[thing][1]}"

    def _walk(self, person: str, room: str, how: str) -> str:
        self.people[person] = room
        self._look()
        return f"{person} {how} the {room}"

    def _look(self) -> None:
        """Everyone sees the things in their room."""
        for person, here in self.people.items():
            for thing, (room, holder) in self.things.items():
                if room == here:
                    self.beliefs[person, thing] = f"{room} {holder}"
