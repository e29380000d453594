"""Layers by their numbers, as Python writes them: `[:2]`, `[5]`, `[0:4, -1]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farspan.errors import MethodError

if TYPE_CHECKING:
    from farspan.methods.parts.terms import Heads, ModelFacts

Pick = int | tuple[int | None, int | None, int | None]
_FORM = "write layers as Python does: [:2], [5] or [0:4, -1]"


@dataclass(frozen=True, slots=True)
class Layers:
    """The layers that `picks` name: each is a number, from the end where it is negative, or a slice of them.

    They are numbered as the model numbers them, layers with a sliding window of their own included.
    """

    picks: tuple[Pick, ...]

    @classmethod
    def of(cls, index: object) -> Layers:
        """Read what stood in the brackets: a number, a slice, or several. Raises MethodError."""
        picks = tuple(_pick(one) for one in (index if isinstance(index, tuple) else (index,)))
        if not picks:
            raise MethodError("there is no layer in the brackets", fix=_FORM)
        return cls(picks)

    @classmethod
    def first(cls, count: int) -> Layers:
        """The first so many, or all where there are fewer."""
        return cls(((None, count, None),))

    def heads(self, model: ModelFacts) -> Heads:
        """All KV heads of the layers that are named."""
        numbers = self._numbers(len(model.facts))
        return {layer.index: range(layer.kv_heads) for layer in model.facts if layer.index in numbers}

    def __str__(self) -> str:
        """As `of` reads it."""
        return f"[{', '.join(map(_shown, self.picks))}]"

    def _numbers(self, count: int) -> set[int]:
        numbers: set[int] = set()
        for pick in self.picks:
            if isinstance(pick, tuple):
                numbers.update(range(count)[slice(*pick)])
            elif -count <= pick < count:
                numbers.add(pick % count)
            else:
                raise MethodError(f"there is no layer {pick} in a model of {count} layers", fix=_FORM)
        return numbers


@dataclass(frozen=True, slots=True)
class FirstShare:
    """The first so large a part of a model's layers, rounded down."""

    share: float

    def heads(self, model: ModelFacts) -> Heads:
        """All KV heads of these layers."""
        return Layers.first(int(self.share * len(model.facts))).heads(model)


def _pick(one: object) -> Pick:
    parts = (one.start, one.stop, one.step) if isinstance(one, slice) else (one,)
    whole = all(isinstance(part, int) and not isinstance(part, bool) for part in parts if part is not None)
    if not whole or one is None or (isinstance(one, slice) and one.step == 0):
        raise MethodError(f"{one!r} names no layers", fix=_FORM)
    return parts if isinstance(one, slice) else parts[0]  # type: ignore[return-value]


def _shown(pick: Pick) -> str:
    if isinstance(pick, int):
        return str(pick)
    start, stop, step = ("" if part is None else str(part) for part in pick)
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
