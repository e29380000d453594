"""Layers by their numbers, as Python writes them: `[:2]`, `[5]`, `[0:4, -1]`."""

from __future__ import annotations

from collections.abc import Sequence
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
            named = _named(pick, count)
            if not named:
                raise MethodError(f"{_in_brackets(pick)} names no layer of {_has(count)}", fix=_FORM)
            numbers.update(named)
        return numbers


@dataclass(frozen=True, slots=True)
class FirstLayers:
    """The first so many layers of a model, or all where it has fewer; not all of them where some must be `left`.

    A count of None is an eighth of the model's, rounded down. Layers with a sliding window of their own do not count.
    """

    count: int | None = None
    left: bool = False

    def heads(self, model: ModelFacts) -> Heads:
        """All KV heads of these layers. Raises MethodError where none is left and one must be."""
        whole = [layer for layer in model.facts if layer.sliding_window is None]
        count = len(whole) // 8 if self.count is None else self.count
        if self.left and count >= len(whole) > 0:
            raise MethodError(
                f"{count} first layers are all of the {len(whole)} that have no sliding window",
                fix=f"leave out 0 to {len(whole) - 1}",
            )
        return {layer.index: range(layer.kv_heads) for layer in whole[:count]}


def _named(pick: Pick, count: int) -> Sequence[int]:
    """The layers that it names of so many. Raises MethodError where it reaches for one that there is not."""
    first, last, _ = pick if isinstance(pick, tuple) else (pick, None, None)
    beyond = [end for end, most in ((first, count - 1), (last, count)) if end is not None and not -count <= end <= most]
    if beyond:
        what = (
            f"{_in_brackets(pick)} goes beyond the layers" if isinstance(pick, tuple) else f"there is no layer {pick}"
        )
        raise MethodError(f"{what} of {_has(count)}", fix=_FORM)
    return range(count)[slice(*pick)] if isinstance(pick, tuple) else (pick % count,)


def _in_brackets(pick: Pick) -> str:
    return f"[{_shown(pick)}]"


def _has(count: int) -> str:
    return f"a model of {count} layers, 0 to {count - 1}"


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
