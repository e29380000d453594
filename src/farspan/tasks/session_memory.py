"""Session memory: somebody chats with an assistant over many days; what was said, when, how much in all, what changed?

Every question has an answer that can be worked out, so that no model needs to judge replies.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice

from farspan.tasks.kit import words
from farspan.tasks.kit.card import Card, check_choice
from farspan.tasks.kit.fillers import Filler
from farspan.tasks.kit.layout import stack
from farspan.tasks.kit.sample import Sample, Segment, Span, Turn
from farspan.tasks.kit.space import Space
from farspan.tasks.material.lives import KINDS, Life, Thread

MIXED = "mixed"
CARD = Card(
    scope="several facts",
    diffusion="scattered",
    source="LongMemEval (Wu et al. 2024): its kinds of questions in time-stamped sessions, with answers worked out",
    chances={"session_abstention": 0.26, "session_preference": 0.04, "session_temporal": 0.03},
    guess={"session_abstention": 0.5, "session_preference": 0.25, "session_temporal": 0.25},
    version=2,
    presets={f"session_{kind}": {"kind": kind} for kind in KINDS},
)
_DECOYS, _LONGEST_GAP, _FIRST_DAY = 24, 9, date(2031, 1, 1)
_REPLIES = ("Noted.", "Thank you, I will remember.", "All right.", "Good to know.", "I see.")
_WISHES = ("Tell me about", "Write me a few lines on", "Make something up about", "I am bored, talk about")


def make(rng: random.Random, space: Space, *, kind: str = MIXED, others: int = 24, turns: int = 1) -> Sample:
    """As many sessions as fit, each of another day, most of them chatter; a segment for every message.

    kind: `extraction` (said once), `multi_session` (sums from several sessions), `temporal` (which came first, days
    between, order), `update` (the latest of several values), `preference` (which of four things fits a taste),
    `abstention` (half of the time never said), or `mixed`, every turn of another kind.
    others: how many sentences at most are told that nobody asks about. Raises UsageError for another kind.
    """
    check_choice("session_memory", "kind", kind, (*KINDS, MIXED))
    seed = rng.getrandbits(64)
    asked, extra = _threads(rng, kind, others, turns)
    needed = sum(len(thread.told) for thread in asked)

    def build(units: int) -> Sample:
        held = list(asked)
        free = max(0, units * 2 // 3 - needed)
        for thread in extra:
            if len(thread.told) <= free:
                held.append(thread)
                free -= len(thread.told)
        return _sample(random.Random(seed), held, len(asked), units, space.filler)

    return stack(space, build, least=max(1, needed))


def _threads(rng: random.Random, kind: str, others: int, turns: int) -> tuple[list[Thread], list[Thread]]:
    """What is asked about, and what is told beside it."""
    life = Life(rng)
    order = rng.sample(list(KINDS), len(KINDS))
    drawn = [KINDS[kind if kind != MIXED else order[turn % len(order)]](life) for turn in range(turns)]
    extra: list[Thread] = []
    for number in range(others):
        thread = KINDS[order[number % len(order)]](life)
        if thread is not None and sum(len(one.told) for one in extra) + len(thread.told) <= others:
            extra.append(thread)
    return [thread for thread in drawn if thread is not None], extra


def _sample(rng: random.Random, threads: Sequence[Thread], asked: int, units: int, filler: Filler) -> Sample:
    """`units` sessions with all threads in them, and questions on the first `asked`."""
    owners = [number for number, thread in enumerate(threads) for _ in thread.told]
    rng.shuffle(owners)
    places = sorted(rng.sample(range(units), len(owners)))
    told: dict[int, str] = {}
    sessions: list[list[int]] = [[] for _ in threads]
    for place, owner in zip(places, owners, strict=True):
        told[place] = threads[owner].told[len(sessions[owner])]
        sessions[owner].append(place)
    segments: list[Segment] = []
    days: list[date] = []
    day = _FIRST_DAY
    for number in range(units):
        day += timedelta(rng.randint(1, _LONGEST_GAP))
        days.append(day)
        segments += _session(rng, number, day, told.get(number, ""), filler)
    turns = []
    for thread, held in list(zip(threads, sessions, strict=True))[:asked]:
        turn = _with_decoys(thread, thread.ask([days[place] for place in held]), threads)
        spans = [Span(2 * place, 0, len(segments[2 * place].text.rstrip())) for place in held]
        turns.append(replace(turn, evidence=tuple(spans)))
    return Sample(tuple(segments), tuple(turns), {"sessions": units})


def _session(rng: random.Random, number: int, day: date, told: str, filler: Filler) -> tuple[Segment, Segment]:
    """A message and its reply; chatter where nothing is told."""
    name = f"Session {number + 1}"
    said, reply = told, rng.choice(_REPLIES)
    if not told:
        said = f"{rng.choice(_WISHES)} the {words.key(rng)}."
        reply = " ".join(piece.strip() for piece in islice(filler.pieces(rng), rng.randint(1, 6)))
    head = f"{name}, {day.isoformat()}\nUser: {said}\n"
    return (
        Segment(head, "user", day.isoformat(), name),
        Segment(f"Assistant: {reply}\n\n", "assistant", day.isoformat(), name),
    )


def _with_decoys(thread: Thread, turn: Turn, threads: Sequence[Thread]) -> Turn:
    """The turn with what else was told as decoys, where a reply may mistake it for the answer."""
    if not thread.among:
        return turn
    told = dict.fromkeys((*turn.decoys, *(value for one in threads if one is not thread for value in one.values)))
    wrong = [value for value in told if value != turn.answer.strip()]
    return replace(turn, decoys=tuple(wrong[:_DECOYS]))
