"""The value that says how a session treats what does not fit: one part on each axis."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Literal, ParamSpec, TypeVar, cast, get_type_hints

from farspan.errors import MethodError, nearest
from farspan.methods.parts.allocate.uniform import Uniform
from farspan.methods.parts.axes import Frequencies, Keep, Part
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.combine.softmax import Softmax
from farspan.methods.parts.frequencies.trained import TrainedFrequencies
from farspan.methods.parts.index.none import NoIndex
from farspan.methods.parts.keep.sinks_and_window import StoreEverything
from farspan.methods.parts.numbers import FROM_ZERO, WHOLE, Numbers
from farspan.methods.parts.place.layers import Layers
from farspan.methods.parts.plan import HeadsPlan, Plan
from farspan.methods.parts.positions.true import TruePositions
from farspan.methods.parts.segment.fixed import FixedBlocks
from farspan.methods.parts.select.everything import Everything
from farspan.methods.parts.terms import Labelled, ModelFacts, Parts, Term, joined, parts_by_head

P = ParamSpec("P")
R = TypeVar("R")
Overflow = Literal["exact", "recalls", "compresses", "re-reads", "forgets"]
AXES: Mapping[str, Part] = {
    "positions": TruePositions(),
    "frequencies": TrainedFrequencies(),
    "segment": FixedBlocks(),
    "index": NoIndex(),
    "select": Everything(),
    "keep": StoreEverything(),
    "codec": RawBlocks(),
    "allocate": Uniform(),
    "combine": Softmax(),
}
"""Every axis with its default part; all defaults together are full attention."""


@dataclass(frozen=True, slots=True)
class Method:
    """How a session treats what does not fit. `Method()` is full attention.

    `a | b` takes every part that either sets; when both set one axis that is a MethodError that names them.
    `a[:2]` is `a` in the first two layers only, so that `full[:2] | quest` is full attention there and Quest in all
    others: a method without layers yields, with all its parts, where one with layers sets one of its axes.
    """

    terms: tuple[Term, ...] = ()

    @property
    def label(self) -> str:
        """The method as text."""
        return "+".join(term.label for term in self.terms) or "full"

    @property
    def parts(self) -> Parts:
        """What it sets where no layer or head is an exception."""
        everywhere = (term for term in self.terms if not term.places)
        return tuple(joined(Labelled(term.label, dict(term.parts)) for term in everywhere).items())

    def __or__(self, other: Method) -> Method:
        """Both together. Raises MethodError when they choose the same axis."""
        both = Method(self.terms + other.terms)
        parts = dict(both.parts)
        if "codec" in parts and not cast(Keep, parts.get("keep", AXES["keep"])).stores:
            encodes, drops = (self, other) if "codec" in dict(self.parts) else (other, self)
            raise MethodError(
                f"{encodes.label} encodes what is stored, and {drops.label} stores nothing",
                fix=f"use {drops.label} alone, or {encodes.label} with a method that recalls, such as infllm",
            )
        return both

    def __getitem__(self, index: object) -> Method:
        """This method in the layers with these numbers only: `a[:2]`, `a[5]`, `a[0:4, -1]`. Raises MethodError."""
        layers = Layers.of(index)
        if not self.terms:
            raise MethodError("a method of no name cannot be given layers", fix="name it, as in full[:2]")
        return Method(
            tuple(replace(term, places=(*term.places, layers), label=f"{term.label}{layers}") for term in self.terms)
        )

    __iter__ = None  # brackets alone would make it endless to iterate over

    def __str__(self) -> str:
        return self.label

    def resolve(self, window: int) -> Plan:
        """The plan where no layer or head is an exception, for a model trained on `window` tokens."""
        return _plan(dict(self.parts), window)

    def plans(self, model: ModelFacts) -> list[list[HeadsPlan]]:
        """For every layer of a model its plan, or several, each for some of the KV heads. Raises MethodError."""
        made: dict[frozenset[tuple[str, Part]], Plan] = {}
        alike: dict[int, dict[Plan, list[int]]] = {layer.index: {} for layer in model.facts}
        governed = [layer.index for layer in model.facts if layer.sliding_window is None]
        number = {layer: place for place, layer in enumerate(governed)}
        for (layer, head), parts in parts_by_head(self.terms, model).items():
            key = frozenset(parts.items())
            if key not in made:
                made[key] = _plan(parts, model.window)
            own = made[key].for_layer(number[layer], len(governed)) if layer in number else made[key]
            alike[layer].setdefault(own, []).append(head)
        return [[HeadsPlan(tuple(heads), plan) for plan, heads in one.items()] for one in alike.values()]


def _plan(parts: Mapping[str, Part], window: int) -> Plan:
    """Fill in every open number for a model trained on `window` tokens."""
    chosen = {**AXES, **parts}
    frequencies = cast(Frequencies, chosen.pop("frequencies")).resolve(window)
    stretched = frequencies.window(window)
    ready = {axis: part.resolve(stretched) for axis, part in chosen.items()}
    keep = cast(Keep, ready["keep"])
    return Plan(**cast(dict[str, Any], ready), frequencies=frequencies, dense=keep.dense(stretched))


@dataclass(frozen=True, slots=True)
class MethodCard:
    """What `farspan methods show NAME` prints. `overflow` says what the method does with what does not fit.

    `details` are the paragraphs behind the idea: what the keywords mean, and where farspan differs from the paper.
    """

    name: str
    paper: str
    idea: str
    details: tuple[str, ...]
    overflow: Overflow
    needs: tuple[str, ...]
    defaults: Mapping[str, Any]
    parts: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The card as plain values for JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "details": list(self.details),
            "needs": list(self.needs),
            "defaults": dict(self.defaults),
            "parts": dict(self.parts),
        }


@dataclass(frozen=True)
class Factory(Generic[P, R]):
    """Something of a paper by its name, which keywords are given to. Which numbers a keyword takes is said where it is
    defined, by `Annotated` with `Numbers`.
    """

    build: Callable[P, R]
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
    def required(self) -> list[str]:
        """Keywords that must be given: those whose default is an empty word."""
        return [name for name, default in self.defaults.items() if default == ""]

    def card_with(self, parts: Mapping[str, str]) -> MethodCard:
        """What it is, described; the first paragraph of its docstring is the idea."""
        paragraphs = (inspect.getdoc(self.build) or "").split("\n\n")
        idea, *details = (" ".join(paragraph.split()) for paragraph in paragraphs)
        return MethodCard(
            name=self.name,
            paper=self.paper,
            idea=idea,
            details=tuple(details),
            overflow=self.overflow,
            needs=self.needs,
            defaults=self.defaults,
            parts=parts,
        )

    def label(self, given: Mapping[str, object]) -> str:
        """The expression that says the same. Raises MethodError for an unknown keyword or a value of the wrong kind."""
        for key, value in given.items():
            self._check(key, value)
        shown = ", ".join(f"{key}={value!r}" for key, value in given.items() if value != self.defaults[key])
        return f"{self.name}({shown})" if shown else self.name

    @cached_property
    def numbers(self) -> dict[str, Numbers]:
        """Which numbers the keywords take that take numbers."""
        hints = get_type_hints(self.build, include_extras=True)
        usual = {key: FROM_ZERO if isinstance(value, float) else WHOLE for key, value in self.defaults.items()}
        own = {key: _annotated(hints[key]) or usual[key] for key in usual}
        return {key: numbers for key, numbers in own.items() if not isinstance(self.defaults[key], str)}

    def _check(self, key: str, value: object) -> None:
        if key not in self.defaults:
            raise MethodError(f"{self.name} has no keyword {key!r}", fix=nearest(key, self.defaults))
        default, numbers = self.defaults[key], self.numbers.get(key)
        kinds: tuple[type, ...] = (str,) if numbers is None else (int, float) if isinstance(default, float) else (int,)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        if fits and (numbers is None or cast(float, value) in numbers):
            return
        wanted = "a word" if numbers is None else f"a {'' if float in kinds else 'whole '}number {numbers}"
        raise MethodError(f"{self.name}({key}={value!r}): {key} is {wanted}", fix=_instead(key, default))


class MethodFactory(Factory[P, "dict[str, Part] | Term"]):
    """A method of a paper by its name: call it with keywords to get a Method.

    `build` gives the parts, or a Term where they differ between layers or heads.
    """

    @property
    def card(self) -> MethodCard:
        """The method described."""
        built = cast(Callable[[], dict[str, Part] | Term], self.build)()
        return self.card_with({axis: repr(part) for axis, part in _term(built).parts})

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Method:
        """Build the method. Raises MethodError for an unknown keyword or a value that it does not take."""
        assert not args, "methods take keywords only"
        label = self.label(kwargs)
        return Method((replace(_term(self.build(*args, **kwargs)), label=label),))


def method(
    *, paper: str, overflow: Overflow, needs: tuple[str, ...] = ()
) -> Callable[[Callable[P, dict[str, Part] | Term]], MethodFactory[P]]:
    """Make a method of a function that returns what it sets; its docstring's first paragraph is the idea."""
    return lambda build: MethodFactory(build, paper, overflow, needs)


def _term(built: dict[str, Part] | Term) -> Term:
    return built if isinstance(built, Term) else Term.of(built)


def _annotated(hint: Any) -> Numbers | None:
    return next((note for note in getattr(hint, "__metadata__", ()) if isinstance(note, Numbers)), None)


def _instead(key: str, default: object) -> str:
    """What to write in place of a value that a keyword does not take."""
    if default is None:
        return f"leave {key} out, and it follows the model"
    return f"try {key}={default or 'a path in quotes'!r}" if isinstance(default, str) else f"try {key}={default}"


def choice(name: str, value: str, options: Mapping[str, Any]) -> Any:
    """The option that a keyword names. Raises MethodError with the options."""
    if value not in options:
        raise MethodError(f"{name}={value!r} is unknown", fix=nearest(value, options))
    return options[value]


def odd(name: str, value: int) -> int:
    """The value, which must be odd. Raises MethodError."""
    if value % 2 == 0:
        raise MethodError(
            f"{name}={value}: {name} is odd, so that a token has as many neighbours on either side",
            fix=f"try {name}={value + 1}",
        )
    return value
