"""The value that says how a session treats what does not fit: one part on each axis."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, ParamSpec, cast

from farspan.attention.rope import Rope
from farspan.errors import MethodError, nearest
from farspan.methods.parts.axes import Codec, Frequencies, Index, Keep, Part, Positions, Segment, Select
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.frequencies.trained import TrainedFrequencies
from farspan.methods.parts.index.none import NoIndex
from farspan.methods.parts.keep.sinks_and_window import StoreEverything
from farspan.methods.parts.positions.true import TruePositions
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.everything import Everything

P = ParamSpec("P")
Overflow = Literal["exact", "recalls", "compresses", "re-reads", "forgets"]
AXES: Mapping[str, Part] = {
    "positions": TruePositions(),
    "frequencies": TrainedFrequencies(),
    "segment": FixedBlocks(),
    "index": NoIndex(),
    "select": Everything(),
    "keep": StoreEverything(),
    "codec": RawBlocks(),
}
"""Every axis with its default part; all defaults together are full attention."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A method made ready for one model: the part of every axis with its numbers filled in.

    `dense` is the number of tokens up to which everything is attended to at its true position.
    """

    positions: Positions
    frequencies: Frequencies
    segment: Segment
    index: Index
    select: Select
    keep: Keep
    codec: Codec
    dense: int

    @property
    def block(self) -> int:
        """Tokens in a stored row: a block, or one where blocks differ in length."""
        return self.segment.row

    @property
    def sinks(self) -> int:
        """First tokens that stay on the device."""
        assert self.keep.sinks is not None
        return self.keep.sinks

    @property
    def window(self) -> int:
        """Last tokens that stay on the device."""
        assert self.keep.window is not None
        return self.keep.window

    def rope(self, rope: Rope, length: int) -> Rope:
        """Into which angles positions are turned once `length` tokens have been seen; `rope` is the model's own."""
        if not self.turns_otherwise(length):
            return rope
        return self.frequencies.rope(rope, length if self.select.needs_all else min(length, self.dense))

    def turns_otherwise(self, length: int) -> bool:
        """Whether positions are turned into other angles than the trained ones once `length` tokens have been seen."""
        begins = self.frequencies.begins
        return begins is not None and length > begins

    def keeps_attention(self, length: int) -> bool:
        """Whether everything is attended to as the model would have it, up to `length` tokens."""
        every = self.select.needs_all and self.positions.keeps_distance and self.codec.lossless
        return (length <= self.dense or every) and not self.turns_otherwise(length)


@dataclass(frozen=True, slots=True)
class Method:
    """How a session treats what does not fit. `Method()` is full attention.

    `a | b` takes every part that either sets; when both set one axis that is a MethodError that names them.
    """

    parts: tuple[tuple[str, Part], ...] = ()
    label: str = "full"

    def __or__(self, other: Method) -> Method:
        if not self.parts or not other.parts:
            return self if self.parts else other
        mine = dict(self.parts)
        for axis, part in other.parts:
            if axis in mine and mine[axis] != part:
                raise MethodError(
                    f"{self.label} and {other.label} both choose the {axis}",
                    fix=f"use one of them, or one that leaves the {axis} alone",
                )
        return Method(tuple({**mine, **dict(other.parts)}.items()), f"{self.label}+{other.label}")

    def __str__(self) -> str:
        return self.label

    def resolve(self, window: int) -> Plan:
        """Fill in every open number for a model trained on `window` tokens."""
        chosen = {**AXES, **dict(self.parts)}
        frequencies = cast(Frequencies, chosen.pop("frequencies")).resolve(window)
        stretched = frequencies.window(window)
        ready = {axis: part.resolve(stretched) for axis, part in chosen.items()}
        keep = cast(Keep, ready["keep"])
        return Plan(**cast(dict[str, Any], ready), frequencies=frequencies, dense=keep.dense(stretched))


@dataclass(frozen=True, slots=True)
class MethodCard:
    """What `farspan methods show NAME` prints. `overflow` says what the method does with what does not fit."""

    name: str
    paper: str
    idea: str
    overflow: Overflow
    needs: tuple[str, ...]
    defaults: Mapping[str, Any]
    parts: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The card as plain values for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "needs": list(self.needs),
            "defaults": dict(self.defaults),
            "parts": dict(self.parts),
        }


@dataclass(frozen=True)
class MethodFactory(Generic[P]):
    """A method of a paper by its name: call it with keywords to get a Method."""

    build: Callable[P, dict[str, Part]]
    paper: str
    overflow: Overflow
    needs: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """The name that users write."""
        return self.build.__name__

    @property
    def defaults(self) -> dict[str, Any]:
        """Keywords and their defaults; None follows the model's window."""
        return {name: value.default for name, value in inspect.signature(self.build).parameters.items()}

    @property
    def card(self) -> MethodCard:
        """The method described."""
        idea = " ".join((inspect.getdoc(self.build) or "").split("\n\n")[0].split())
        parts = {axis: repr(part) for axis, part in cast(Callable[[], dict[str, Part]], self.build)().items()}
        return MethodCard(self.name, self.paper, idea, self.overflow, self.needs, self.defaults, parts)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Method:
        """Build the method. Raises MethodError for an unknown keyword or a number that is not positive."""
        assert not args, "methods take keywords only"
        for key, value in kwargs.items():
            self._check(key, value)
        given = ", ".join(f"{key}={value!r}" for key, value in kwargs.items() if value != self.defaults[key])
        parts = self.build(*args, **kwargs)
        return Method(tuple(parts.items()), f"{self.name}({given})" if given else self.name)

    def _check(self, key: str, value: object) -> None:
        if key not in self.defaults:
            raise MethodError(f"{self.name} has no keyword {key!r}", fix=nearest(key, self.defaults))
        default = self.defaults[key]
        if isinstance(default, str):
            if not isinstance(value, str):
                raise MethodError(f"{self.name}({key}={value!r}): {key} is a word, such as {default!r}")
        elif isinstance(default, float):
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= cast(float, value) <= sys.float_info.max:
                raise MethodError(f"{self.name}({key}={value!r}): {key} is a number from 0 up, such as {default}")
        elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise MethodError(f"{self.name}({key}={value!r}): {key} is a whole number from 1 up")


def method(
    *, paper: str, overflow: Overflow, needs: tuple[str, ...] = ()
) -> Callable[[Callable[P, dict[str, Part]]], MethodFactory[P]]:
    """Make a method of a function that returns the parts it sets; its docstring's first paragraph is the idea."""
    return lambda build: MethodFactory(build, paper, overflow, needs)


def choice(name: str, value: str, options: Mapping[str, Any]) -> Any:
    """The option that a keyword names. Raises MethodError with the options."""
    if value not in options:
        raise MethodError(f"{name}={value!r} is unknown", fix=nearest(value, options))
    return options[value]
