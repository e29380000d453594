"""What one method of an expression sets, and where; and what several of them come to in one layer."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from farspan.errors import MethodError
from farspan.methods.parts.axes import Part

if TYPE_CHECKING:
    from farspan.attention.facts import LayerFacts

Parts = tuple[tuple[str, Part], ...]


class ModelFacts(Protocol):
    """What a method may know of the model that it is made ready for."""

    @property
    def facts(self) -> Sequence[LayerFacts]:
        """Every layer."""
        ...

    @property
    def window(self) -> int:
        """The trained window in tokens."""
        ...

    @property
    def fingerprint(self) -> str:
        """Tells its weights from others."""
        ...


Heads = Mapping[int, Collection[int]]
"""KV heads by the numbers of their layers."""


class Place(Protocol):
    """Some KV heads of some layers, where a method holds or does something else than elsewhere."""

    def heads(self, model: ModelFacts) -> Heads:
        """The KV heads that belong to it, of every layer that has some."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """A method: the parts that it sets, `varied` by place.

    With `places` it holds only where all of them are. Without, it holds wherever no term with places sets one of its
    axes: there it yields as a whole.
    """

    parts: Parts
    places: tuple[Place, ...] = ()
    varied: tuple[tuple[Place, Parts], ...] = ()
    label: str = ""

    @classmethod
    def of(
        cls, parts: Mapping[str, Part], *varied: tuple[Place, Mapping[str, Part]], only: Place | None = None
    ) -> Self:
        """A method that sets `parts`, in the places `varied` with some of them different, and `only` in one place."""
        there = tuple((place, tuple(other.items())) for place, other in varied)
        return cls(tuple(parts.items()), () if only is None else (only,), there)

    def by_head(self, model: ModelFacts) -> dict[tuple[int, int], dict[str, Part]]:
        """What it sets for every KV head, by layer and head, that it holds for."""
        held = [place.heads(model) for place in self.places]
        varied = [(place.heads(model), dict(parts)) for place, parts in self.varied]
        found = {}
        for layer, head in every_head(model):
            if all(head in heads.get(layer, ()) for heads in held):
                others = (parts for heads, parts in varied if head in heads.get(layer, ()))
                found[layer, head] = reduce(operator.or_, others, dict(self.parts))
        return found


Varied = tuple[Place, Mapping[str, Part]]


class Labelled(NamedTuple):
    """Parts and the method that sets them."""

    label: str
    parts: Mapping[str, Part]


def every_head(model: ModelFacts) -> Iterator[tuple[int, int]]:
    """All KV heads: the numbers of layer and head."""
    return ((layer.index, head) for layer in model.facts for head in range(layer.kv_heads))


def parts_by_head(terms: Sequence[Term], model: ModelFacts) -> dict[tuple[int, int], dict[str, Part]]:
    """What all of them come to for every KV head. Raises MethodError when two choose the same axis for one."""
    by_term = [(term, term.by_head(model)) for term in terms]
    found = {}
    for at in every_head(model):
        here = [(term.places, Labelled(term.label, parts[at])) for term, parts in by_term if at in parts]
        placed = joined(one for places, one in here if places)
        free = (one for places, one in here if not places and not placed.keys() & one.parts.keys())
        found[at] = joined(free) | placed
    return found


def joined(methods: Iterable[Labelled]) -> dict[str, Part]:
    """The parts of all of them. Raises MethodError, naming both, when two choose the same axis."""
    owner: dict[str, str] = {}
    parts: dict[str, Part] = {}
    for method in methods:
        for axis, part in method.parts.items():
            if axis in parts and parts[axis] != part:
                raise MethodError(
                    f"{owner[axis]} and {method.label} both choose the {axis}",
                    fix=f"use one of them, one that leaves the {axis} alone, or each in its own layers, as in full[:2]",
                )
            owner[axis], parts[axis] = method.label, part
    return parts
