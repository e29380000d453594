"""How much room a sample has, in the model's own tokens: context, template, questions and answers together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from farspan.errors import InputError
from farspan.tasks.kit.card import MULTI_REQUEST, MULTI_TURN
from farspan.tasks.kit.fillers import Filler, Synthetic
from farspan.tasks.kit.sample import Sample, Turn

Count = Callable[[str], int]
FULLEST = 0.97


class TooShort(InputError):
    """The length does not hold the least that a family can make."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Tokens that a chat template puts around: head + context + gap + query + tail + answer + between + query ..."""

    head: int = 0
    gap: int = 0
    tail: int = 0
    between: int = 0


@dataclass(frozen=True, slots=True)
class Space:
    """What a family makes its sample to fit.

    length: tokens of everything together. count: tokens of a text. filler: prose to hide facts in.
    modes: how the turns will be asked; without one, nothing is kept for them and the context takes the whole length.
    slack: tokens that an answer may take beyond those of the expected one.
    """

    length: int
    count: Count
    filler: Filler = field(default_factory=Synthetic)
    frame: Frame = field(default_factory=Frame)
    modes: tuple[str, ...] = (MULTI_REQUEST,)
    slack: int = 24

    def bounded(self, turn: Turn) -> Turn:
        """The turn with the number of tokens that its answer may take."""
        if turn.max_new_tokens:
            return turn
        return replace(turn, max_new_tokens=self.count(turn.answer) + self.slack)

    def taken(self, turns: Iterable[Turn]) -> int:
        """Tokens that turns and template take: the longest turn, or all of them where they make one conversation."""
        if not self.modes:
            return 0
        sizes = [
            self.count(turn.query) + self.count(turn.prefix) + self.frame.tail + self.bounded(turn).max_new_tokens
            for turn in turns
        ]
        if MULTI_TURN in self.modes:
            asked = sum(sizes) + self.frame.between * max(0, len(sizes) - 1)
        else:
            asked = max(sizes, default=0)
        return self.frame.head + self.frame.gap + asked

    def room(self, turns: Sequence[Turn]) -> int:
        """Tokens that are left for the context beside these turns. Raises TooShort when there are none."""
        left = self.length - self.taken(turns)
        if left <= 0:
            raise TooShort(
                f"the questions alone take {self.taken(turns):,} of {self.length:,} tokens",
                fix="ask for a longer length or fewer questions",
            )
        return left

    def total(self, sample: Sample) -> int:
        """Tokens of the whole: the context counted in one piece, template, questions and the longest answers."""
        return self.count(sample.document) + self.taken(sample.turns)

    def resized(self, length: int) -> Space:
        """The same for another length."""
        return replace(self, length=length)

    def filled(self, filler: Filler) -> Space:
        """The same with another filler."""
        return replace(self, filler=filler)
