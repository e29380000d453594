"""A task: a family with its knobs set, that draws the same sample for the same number, seed and length."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from farspan.errors import InputError, UsageError
from farspan.tasks.kit.card import Card
from farspan.tasks.kit.fillers import Filler
from farspan.tasks.kit.sample import Sample, Turn
from farspan.tasks.kit.space import FULLEST, Space, TooShort

Make = Callable[..., Sample]
Read = Callable[..., Iterator[Sample]]
_TRIES, _TRIAL, _CHARS_PER_TOKEN = 8, 4096, 4
_ECHO = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A family and its knobs. `make` draws a sample to a length; `read` takes samples from files as they are."""

    name: str
    family: str
    card: Card
    knobs: Mapping[str, Any]
    make: Make | None = None
    read: Read | None = None

    def __str__(self) -> str:
        """The expression that `farspan.tasks.parse` reads, by the name that it was asked for."""
        preset = self.card.presets.get(self.name, {})
        return _expression(self.name, {knob: self.knobs[knob] for knob in self.knobs if knob not in preset})

    @property
    def spelled_out(self) -> str:
        """The same as its family with all knobs."""
        return _expression(self.family, self.knobs)

    @property
    def fits_a_length(self) -> bool:
        """Whether samples are drawn to a length; those from files are as long as they are."""
        return self.make is not None

    @property
    def chance(self) -> float:
        """What answers of other samples earn on average: of the nearest preset whose knobs these are, or the family."""
        return self._nearest(self.card.chances, self.card.chance)

    @property
    def guess(self) -> float:
        """What the best known reply without the context earns on average, found likewise; chance where none is."""
        return self._nearest(self.card.guess, self.chance)

    def takes(self, knob: str) -> bool:
        """Whether the family has a knob of that name."""
        return knob in inspect.signature(self.make or self.read).parameters  # type: ignore[arg-type]

    def samples(self, amount: int, *, seed: int, space: Space) -> Iterator[Sample]:
        """`amount` samples, or what a file has; the i-th is the same for any amount."""
        if self.read is not None:
            for sample in islice(self.read(**self.knobs), amount):
                yield finished(sample, space)
            return
        for number in range(amount):
            yield self.sample(number, seed=seed, space=space)

    def try_out(self, modes: tuple[str, ...], filler: Filler) -> None:
        """Draw a sample and throw it away, with no model to count its tokens.

        Raises InputError for a file that cannot be read and UsageError for a knob's value that means nothing; whether
        a length holds the task, and what else goes wrong, shows when it is measured.
        """
        space = Space(_TRIAL, lambda text: math.ceil(len(text) / _CHARS_PER_TOKEN), filler, modes=modes)
        try:
            next(self.samples(1, seed=0, space=space), None)
        except TooShort:
            return
        except (InputError, UsageError):
            raise
        except Exception:
            return

    def sample(self, number: int, *, seed: int, space: Space) -> Sample:
        """One sample, drawn to fill the space: at most its length, at least .97 of it from 512 tokens on.

        Raises TooShort when the length does not hold the least that the family can make.
        """
        if self.make is None:
            assert self.read is not None
            for sample in islice(self.read(**self.knobs), number, number + 1):
                return finished(sample, space)
            raise InputError(f"{self} has no sample {number}", fix="ask for fewer")
        draw = self._seed(number, seed, space.length)
        aim = space.length
        best: Sample | None = None
        for _ in range(_TRIES):
            sample = self.make(random.Random(draw), space.resized(aim), **self.knobs)
            total = space.total(sample)
            if total <= space.length:
                best = sample if best is None or total > space.total(best) else best
                if total >= FULLEST * space.length:
                    break
                aim += max(1, (space.length - total) // 2)
            else:
                aim -= total - space.length
        if best is None:
            raise TooShort(f"{self} does not fit in {space.length:,} tokens", fix="ask for a longer length")
        if not best.turns:
            raise TooShort(
                f"{self} finds nothing to ask about {space.length:,} tokens of this text",
                fix="ask for a longer length, or give a --filler that is longer and repeats itself less",
            )
        return finished(best, space)

    def _nearest(self, shares: Mapping[str, float], otherwise: float) -> float:
        """The share of the preset with the most knobs of those whose knobs are all set so here."""
        presets = self.card.presets
        fitting = [
            name for name in shares if all(self.knobs.get(knob) == presets[name][knob] for knob in presets[name])
        ]
        nearest = max(fitting, key=lambda name: len(presets[name]), default=None)
        return otherwise if nearest is None else shares[nearest]

    def _seed(self, number: int, seed: int, length: int) -> str:
        named = f"{self.family}|{self.card.version}|{seed}|{length}|{canonical(self.knobs)}|{number}"
        return hashlib.sha256(named.encode()).hexdigest()


def finished(sample: Sample, space: Space) -> Sample:
    """The sample with the length of every answer set, and snippets by which an echo of the context is known."""
    return replace(sample, turns=tuple(_marked(space.bounded(turn), sample) for turn in sample.turns))


def _marked(turn: Turn, sample: Sample) -> Turn:
    """Snippets at five depths of the context, without those that the turn's answer holds itself."""
    document = sample.document
    if len(document) < 8 * _ECHO:
        return turn
    places = [len(document) * share // 10 for share in (1, 3, 5, 7, 9)]
    snippets = (" ".join(document[at : at + _ECHO].split()) for at in places)
    answer = " ".join(turn.answer.split())
    return replace(turn, echoes=tuple(snippet for snippet in snippets if snippet and snippet not in answer))


def canonical(values: Mapping[str, Any]) -> str:
    """Plain values as one line of JSON, the same for equal values."""
    return json.dumps(values, sort_keys=True, default=str)


def _expression(name: str, knobs: Mapping[str, Any]) -> str:
    words = ",".join(f"{key}={_shown(value)}" for key, value in knobs.items())
    return f"{name}({words})" if words else name


def _shown(value: Any) -> str:
    text = str(value)
    return text if isinstance(value, str) and text.isidentifier() else repr(value)
