"""Threading: one JSON object of random UUIDs; keys are looked up alone, together, by a mark, or followed as threads.

In a thread each value is the next key, up to a value that is no key. With `haystack_seed=0` the pairs are those of the
published haystack of the paper, before keys are marked or values threaded.
"""

from __future__ import annotations

import random
import uuid
from itertools import pairwise
from typing import NamedTuple

from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.layout import Asked, located, stack
from farspan.tasks.kit.sample import Page, Sample, Turn
from farspan.tasks.kit.space import Space

CARD = Card(
    scope="chain",
    diffusion="scattered",
    source="Needle Threading (Roberts et al. 2024): single, multiple and conditional needles, one and several threads",
    presets={
        "threading_single": {"kind": "single"},
        "threading_multiple": {"kind": "multiple"},
        "threading_conditional": {"kind": "conditional"},
        "threading_thread": {"kind": "thread"},
        "threading_multi": {"kind": "multi_thread"},
    },
)
KINDS = ("single", "multiple", "conditional", "thread", "multi_thread")
DIRECTIONS = ("forward", "backward", "random")
PLACEMENTS = ("random", "clustered")
MARKS = "*&$%@!"
UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DECOYS = 24


def make(
    rng: random.Random,
    space: Space,
    *,
    kind: str = "thread",
    needles: int = 3,
    placement: str = "random",
    thread_length: int = 3,
    threads: int = 2,
    direction: str = "forward",
    haystack_seed: int = -1,
    turns: int = 1,
) -> Sample:
    """As many pairs as fit, and `turns` questions of a `kind`, each about pairs of its own.

    kind: `single` asks for the value of a key, `multiple` for those of `needles` keys in their order, `conditional` for
    all values whose key holds a mark (`needles` of them), `thread` for the value at the end of a thread, `multi_thread`
    for the ends of `threads` threads. placement: needles lie anywhere (`random`) or side by side (`clustered`).
    thread_length: keys in a thread. direction: its next pair lies behind the last (`forward`), before it, or anywhere.
    haystack_seed: the seed of the pairs; -1 draws one for each sample. Raises UsageError for an unknown word.
    """
    for knob, value, known in (
        ("kind", kind, KINDS),
        ("placement", placement, PLACEMENTS),
        ("direction", direction, DIRECTIONS),
    ):
        check_choice("threading", knob, value, known)
    plan = _Plan(kind, needles, placement, thread_length, threads if kind == "multi_thread" else 1, direction, turns)
    seed = rng.getrandbits(64)
    pairs_seed = rng.getrandbits(64) if haystack_seed < 0 else haystack_seed

    def build(units: int) -> Sample:
        return _Weaver(plan, random.Random(seed), haystack(units, pairs_seed), space).sample()

    return stack(space, build, least=plan.amount * plan.size + 1)


def haystack(pairs: int, seed: int = 0) -> dict[str, str]:
    """`pairs` random UUIDs as keys, each with another as its value; the paper's own for seed 0.

    Written by `json.dumps`, 25 pairs are 2,000 characters.
    """
    rng = random.Random(seed)
    drawn = [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(2 * pairs)]
    return dict(zip(drawn[::2], drawn[1::2], strict=True))


class _Plan(NamedTuple):
    """The knobs of `make`."""

    kind: str
    needles: int
    placement: str
    thread_length: int
    threads: int
    direction: str
    turns: int

    @property
    def size(self) -> int:
        """Pairs that one question is about."""
        if self.kind == "single":
            return 1
        return self.threads * self.thread_length if self.kind.endswith("thread") else self.needles

    @property
    def amount(self) -> int:
        """Questions: as many as there are marks at the most, where keys are asked by a mark."""
        return min(self.turns, len(MARKS)) if self.kind == "conditional" else self.turns


class _Weaver:
    """Marks the keys and threads the values of a haystack, and asks about them."""

    def __init__(self, plan: _Plan, rng: random.Random, pairs: dict[str, str], space: Space) -> None:
        self.plan, self.rng, self.space = plan, rng, space
        self.keys, self.values = list(pairs), list(pairs.values())

    def sample(self) -> Sample:
        """The object as `json.dumps` writes it, with the questions on it."""
        kinds = {"single": self._single, "multiple": self._multiple, "conditional": self._conditional}
        asked = kinds.get(self.plan.kind, self._threads)()
        page = Page()
        page.add("{")
        spans = []
        for number, (key, value) in enumerate(zip(self.keys, self.values, strict=True)):
            page.add(", " if number else "")
            spans.append(page.add(f'"{key}": "{value}"'))
        page.add("}")
        return page.sample(located(spans, asked), pairs=len(self.keys))

    def _single(self) -> list[Asked]:
        """Keys at depths that are spread evenly, in random order."""
        turns = self.plan.amount
        places = [int((turn + self.rng.random()) * len(self.keys) / turns) for turn in range(turns)]
        self.rng.shuffle(places)
        query = "What is the value of the key "
        return [self._ask(f"{query}{self.keys[place]}?", [place], [place], [place]) for place in places]

    def _multiple(self) -> list[Asked]:
        """Several keys, in the order in which they were drawn; side by side where they are clustered."""
        query = "Give only the values of these keys, in this order: "
        return [self._ask(query + self._listed(places), places, places, places) for places in self._places()]

    def _conditional(self) -> list[Asked]:
        """Keys in which a mark takes the place of a hexadecimal digit."""
        asked = []
        for mark, places in zip(MARKS, self._places(), strict=False):
            places.sort()
            for place in places:
                key = self.keys[place]
                at = self.rng.choice([i for i, character in enumerate(key) if character != "-"])
                self.keys[place] = key[:at] + mark + key[at + 1 :]
            query = f"Give only the values of all keys that hold the character {mark}"
            asked.append(self._ask(query, places, places, places))
        return asked

    def _threads(self) -> list[Asked]:
        """One thread or several, which all are woven before the first is asked."""
        length = self.plan.thread_length
        woven = [
            [self._weave(places[at : at + length]) for at in range(0, len(places), length)] for places in self._places()
        ]
        rule = "A thread goes on where a value is a key too. "
        asked = []
        for threads in woven:
            starts, ends = [thread[0] for thread in threads], [thread[-1] for thread in threads]
            query = f"{rule}Which value ends the thread from the key {self._listed(starts)}?"
            if len(threads) > 1:
                query = f"{rule}Give only the values that end the threads from these keys, in this order: "
                query += self._listed(starts)
            asked.append(self._ask(query, starts, ends, [place for thread in threads for place in thread]))
        return asked

    def _weave(self, thread: list[int]) -> list[int]:
        """Make each value the key of the next place; the places in the order of the thread."""
        if self.plan.direction != "random":
            thread.sort(reverse=self.plan.direction == "backward")
        for here, there in pairwise(thread):
            self.values[here] = self.keys[there]
        return thread

    def _places(self) -> list[list[int]]:
        """For each question, places of its own: anywhere and in any order, or one behind the other."""
        amount, size = self.plan.amount, self.plan.size
        if self.plan.placement == "random" or self.plan.kind.endswith("thread"):
            drawn = self.rng.sample(range(len(self.keys)), amount * size)
            return [drawn[at : at + size] for at in range(0, len(drawn), size)]
        gaps = sorted(self.rng.randint(0, len(self.keys) - amount * size) for _ in range(amount))
        starts = [gap + number * size for number, gap in enumerate(gaps)]
        self.rng.shuffle(starts)
        return [list(range(start, start + size)) for start in starts]

    def _listed(self, places: list[int]) -> str:
        return ", ".join(self.keys[place] for place in places)

    def _ask(self, query: str, starts: list[int], places: list[int], needed: list[int]) -> Asked:
        """The question for the values at `places` by the keys at `starts`; no value at a `needed` place is a decoy.

        A reply may be a sentence for each value, with the key in it.
        """
        found = tuple(self.values[place] for place in places)
        looked = range(min(len(self.keys), _DECOYS + len(needed)))
        others = [self.values[place] for place in looked if place not in set(needed)]
        scorer = "set_f1" if self.plan.kind == "conditional" else "items"
        told = zip((self.keys[place] for place in starts), found, strict=True)
        said = "".join(f" The value of the key {key} is {value}." for key, value in told)
        most, decoys = self.space.count(said) + self.space.slack, tuple(others[:_DECOYS])
        if len(found) == 1:
            return Turn(query, f" {found[0]}", max_new_tokens=most, decoys=decoys), needed
        answer, options = " " + ", ".join(found), {"pattern": UUID}
        return Turn(query, answer, found, scorer, options, max_new_tokens=most, decoys=decoys), needed
