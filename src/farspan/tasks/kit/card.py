"""What a family says of itself: how much must be found, how hard that is to find, what guessing earns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from farspan.errors import UsageError

MULTI_REQUEST, MULTI_TURN = "multi_request", "multi_turn"
SCOPES = ("one fact", "several facts", "chain", "all")
DIFFUSIONS = ("verbatim", "paraphrased", "scattered", "computed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The labels of a task family.

    scope: how much must be found (SCOPES). diffusion: how hard it is to find (DIFFUSIONS); both after Goldman et al.
    2024, "Is It Really Long Context if All You Need Is Retrieval?".
    source: the paper or suite whose structure it follows.
    chance: what answers of other samples earn on average (0 to 1). chances: the same for presets that differ, by name.
    guess: by preset, what the best reply that we know of earns without the context, such as always abstaining or naming
    the first option; where none is given, nothing is known to be better than chance.
    modes: `multi_request` asks each turn of a copy of the read context, `multi_turn` goes on in one conversation.
    version: raised when the generator changes, so that rows of two versions are never mixed.
    presets: other names of the family with some of its knobs set.
    """

    scope: str
    diffusion: str
    source: str
    chance: float = 0.0
    chances: Mapping[str, float] = field(default_factory=dict)
    guess: Mapping[str, float] = field(default_factory=dict)
    modes: tuple[str, ...] = (MULTI_REQUEST, MULTI_TURN)
    version: int = 1
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.scope in SCOPES and self.diffusion in DIFFUSIONS, (self.scope, self.diffusion)


def check_choice(task: str, knob: str, value: object, known: Iterable[object]) -> None:
    """Raise UsageError that lists what a knob may be, unless `value` is among it."""
    choices = list(known)
    if value not in choices:
        raise UsageError(f"{task} has no {knob} {value!r}", fix=f"one of {', '.join(map(str, choices))}")
