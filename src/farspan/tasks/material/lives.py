"""What somebody tells an assistant over many days, in threads: each is a few sentences, and a question about them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from farspan.tasks.kit.sample import Turn
from farspan.tasks.material import topics

_TELLS = (
    "Just so you know, my {topic} is {value}.",
    "Please keep in mind that my {topic} is {value}.",
    "For later: my {topic} is {value}.",
    "By the way, my {topic} is {value}.",
)
_CHANGES = ("News: my {topic} is now {value}.", "There was a change, my {topic} is {value} from now on.")
_SPENDS = ("I spent {value} crowns on {topic} today.", "{value} crowns went on {topic} today.")
_LIKES = (
    "There is little that I like as much as {topic}.",
    "You should know that I am fond of {topic}.",
    "I can never resist {topic}.",
)
_UNKNOWN = "Not mentioned"
_ANY_CASE = {"any_case": True}


@dataclass(frozen=True, slots=True)
class Thread:
    """What belongs to one question.

    told: sentences that are said on different days, in this order. ask: the question, from the days they were said on.
    values: what is said in them that could answer a question like it. among: whether others' values would be wrong.
    """

    told: tuple[str, ...]
    ask: Callable[[Sequence[date]], Turn]
    values: tuple[str, ...] = ()
    among: bool = False


class Life:
    """Draws threads; no two are about the same. A kind of which nothing is left gives None."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._topics = rng.sample(topics.TOPICS, len(topics.TOPICS))
        self._goods = rng.sample(topics.GOODS, len(topics.GOODS))
        self._deeds = rng.sample(topics.DEEDS, len(topics.DEEDS))
        self._tastes = rng.sample(sorted(topics.TASTES), len(topics.TASTES))

    def extraction(self) -> Thread | None:
        """Something said once."""
        return self._fact(1) if self._topics else None

    def update(self) -> Thread | None:
        """Something that changes once or twice; the last value counts."""
        return self._fact(self._rng.randint(2, 3)) if self._topics else None

    def abstention(self) -> Thread | None:
        """By even odds something that was never said, or something that was said once."""
        if not self._topics:
            return None
        note = f" If I have not told you, answer: {_UNKNOWN}."
        if self._rng.random() < 0.5:
            return self._fact(1, note)
        what, topic, _ = self._topics.pop()
        turn = Turn(f"{what} is my {topic}?{note}", f" {_UNKNOWN}.", scorer="abstains")
        return Thread((), lambda _: turn, among=True)

    def multi_session(self) -> Thread | None:
        """Sums that are to be added up."""
        if not self._goods:
            return None
        topic = self._goods.pop()
        spent = self._rng.sample(range(3, 100), self._rng.randint(2, 4))
        told = tuple(self._rng.choice(_SPENDS).format(value=value, topic=topic) for value in spent)
        query = f"How many crowns have I spent on {topic} in all? Answer with the number."
        turn = Turn(query, f" {sum(spent)}", scorer="last_number")
        return Thread(told, lambda _: turn)

    def temporal(self) -> Thread | None:
        """What came first, how many days lay between, or the order of three."""
        amount = self._rng.choice((2, 2, 3))
        if len(self._deeds) < amount:
            return None
        deeds = [self._deeds.pop() for _ in range(amount)]
        shown = self._rng.sample(deeds, amount)
        told = tuple(f"Today I {deed}." for deed in deeds)
        if amount == 3:
            return Thread(told, lambda _: _ordered(deeds, shown))
        if self._rng.random() < 0.5:
            return Thread(told, lambda _: _first(deeds, shown))
        return Thread(told, lambda days: _between(shown, (days[1] - days[0]).days))

    def preference(self) -> Thread | None:
        """A taste, and four things of which one fits it."""
        if not self._tastes:
            return None
        domain = self._tastes.pop()
        taste, fitting = self._rng.choice(topics.TASTES[domain])
        options = self._rng.sample([option for _, option in topics.TASTES[domain]], len(topics.TASTES[domain]))
        query = f"Which of these do I like best {domain}: {', '.join(options)}? Answer with one of them."
        gold, *others = (option.removeprefix("a ").removeprefix("the ") for option in (fitting, *options))
        decoys = tuple(option for option in others if option != gold)
        turn = Turn(query, f" {fitting}", (gold,), "kv_substring", _ANY_CASE, decoys=decoys)
        return Thread((self._rng.choice(_LIKES).format(topic=taste),), lambda _: turn)

    def _fact(self, amount: int, note: str = "") -> Thread:
        what, topic, draw = self._topics.pop()
        values = [draw(self._rng)]
        while len(values) < amount:
            value = draw(self._rng)
            if value not in values:
                values.append(value)
        shapes = [self._rng.choice(_CHANGES if i else _TELLS) for i in range(amount)]
        told = tuple(shape.format(topic=topic, value=value) for shape, value in zip(shapes, values, strict=True))
        query = f"{what} is my {topic}{' now' if amount > 1 else ''}?{note}"
        turn = Turn(query, f" {values[-1]}", scorer="kv_substring", options=_ANY_CASE)
        if amount > 1:
            turn = replace(turn, scorer="last_named", options={"earlier": values[:-1]})
        return Thread(told, lambda _: turn, tuple(values), among=True)


def _ordered(deeds: Sequence[str], shown: Sequence[str]) -> Turn:
    query = f"In which order did I do these? List them with commas, the earliest first: {', '.join(shown)}"
    return Turn(query, " " + ", ".join(deeds), tuple(deeds), "items", {"all": True})


def _first(deeds: Sequence[str], shown: Sequence[str]) -> Turn:
    query = f"Which came first, that I {shown[0]} or that I {shown[1]}?"
    return Turn(query, f" {deeds[0]}", scorer="kv_substring", options=_ANY_CASE, decoys=(deeds[1],))


def _between(shown: Sequence[str], days: int) -> Turn:
    query = f"How many days lie between the day I {shown[0]} and the day I {shown[1]}? Answer with the number."
    return Turn(query, f" {days}", scorer="last_number")


KINDS: Mapping[str, Callable[[Life], Thread | None]] = {
    "extraction": Life.extraction,
    "multi_session": Life.multi_session,
    "temporal": Life.temporal,
    "update": Life.update,
    "preference": Life.preference,
    "abstention": Life.abstention,
}
"""The kinds of LongMemEval."""
