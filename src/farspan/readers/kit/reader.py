"""A reader as a value: how text that does not fit is read again for a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from farspan.engine import Model
from farspan.errors import MethodError
from farspan.methods.parts.method import Factory, MethodCard, P
from farspan.readers.kit.question import Question
from farspan.readers.kit.text import Range, ReadText


class Strategy(Protocol):
    """What a reader does when a question comes."""

    @property
    def as_it_stands(self) -> bool:
        """Whether a text that fits the window is told as it stands, so that the answer is what full attention gives."""
        ...

    def resolve(self, model: Model) -> Strategy:
        """The same with the numbers that hang on the model filled in. Raises MethodError for what it does not have."""
        ...

    def choose(self, text: ReadText, question: Question) -> Sequence[Sequence[Range]]:
        """The parts of the text to answer from: ranges in their order, once for every time the question is put."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """A way of reading again, with its keywords; it is written like a method and stands alone."""

    strategy: Strategy
    label: str

    def __str__(self) -> str:
        return self.label


class ReaderFactory(Factory[P, Strategy]):
    """A reader of a paper by its name: call it with keywords to get a Reader."""

    @property
    def card(self) -> MethodCard:
        """The reader described."""
        return self.card_with({"read": repr(cast(Callable[[], Strategy], self.build)())})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Reader:
        """Build the reader. Raises MethodError for an unknown keyword or a value of the wrong kind."""
        assert not args, "readers take keywords only"
        label = self.label(kwargs)
        return Reader(self.build(*args, **kwargs), label)


def reader(*, paper: str) -> Callable[[Callable[P, Strategy]], ReaderFactory[P]]:
    """Make a reader of a function that returns its strategy; its docstring's first paragraph is the idea."""
    return lambda build: ReaderFactory(build, paper, "re-reads")


def chosen_layer(model: Model, layer: int | None, share: float) -> int:
    """The layer that a reader looks at, counted from 0; None is the one at a share of the model's depth, or the next
    to it that has no sliding window, where there is one.

    Raises MethodError for a layer that the model does not have, and for one with a sliding window.
    """
    facts = model.hosted.facts
    last = len(facts) - 1
    whole = [fact.index for fact in facts if fact.sliding_window is None] or list(range(last + 1))
    if layer is None:
        wanted = min(round(share * (last + 1)), last)
        return min(whole, key=lambda at: abs(at - wanted))
    if layer > last:
        raise MethodError(
            f"the model has no layer {layer}: they are counted from 0 to {last}", fix="choose one of them"
        )
    if layer not in whole:
        raise MethodError(
            f"layer {layer} looks at the last {facts[layer].sliding_window:,} tokens only",
            fix=f"choose one without a sliding window: {', '.join(map(str, whole))}",
        )
    return layer
