"""Where the queries of a chunk and the keys of a layer stand, and the angles that follow.

Shapes: H query heads, G KV heads, T tokens of the chunk, S keys, N searches, X runs, M query rows, D key width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from farspan.attention.rope import Rope
from farspan.attention.runs import Elsewhere, Runs, Table, Turn
from farspan.attention.visible import Visible
from farspan.cache.recent import Tokens
from farspan.engine.folding import Folding
from farspan.engine.once import Once
from farspan.methods.parts.plan import Plan

_RUN = 64
T = TypeVar("T")


class Places(NamedTuple):
    """Runs of `length` tokens that begin `first_1X` tokens into their storage, at `place_NX` in the text, turned by
    `turn`. `visible` bounds what each token sees, where it is not all.
    """

    length: int
    first_1X: Tensor
    place_NX: Tensor
    turn: Turn | None
    visible: Visible | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """One layer at the moment of one chunk, whose keys are the last of the recent ones.

    `seen` counts the chunk's tokens. `once` holds what is the same in other layers.
    """

    plan: Plan
    rope: Rope | None
    sinks: Tokens
    recent: Tokens
    seen: int
    q_HTD: Tensor
    once: Once

    @property
    def is_dense(self) -> bool:
        """Whether everything so far is attended to at its true position."""
        return self.seen <= self.plan.dense

    def near(self, low: int, reach: int) -> Places:
        """Runs from recent token `low` on, at their true distances; each query sees the last `reach`."""
        keys, queries = self.recent.length, self.q_HTD.shape[1]

        def make() -> Places:
            first_1X = torch.arange(0, keys - low, _RUN, device=self.device).unsqueeze(0)
            end = keys - queries + 1 - low
            turn, visible = self.turn(first_1X + low, _RUN, 1), Visible(queries, end - reach, end)
            return Places(_RUN, first_1X, first_1X + low + self.base, turn, visible)

        return self._once("near", (keys, low, reach), make)

    def aside(self) -> Places:
        """Runs of the recent tokens at their true distances; each query sees those that are out of its window."""
        older, queries = self.recent.length - self.plan.window, self.q_HTD.shape[1]

        def make() -> Places:
            first_1X = torch.arange(0, older, _RUN, device=self.device).unsqueeze(0)
            visible = Visible(queries, -queries, older - queries + 1)
            return Places(_RUN, first_1X, first_1X + self.base, self.turn(first_1X, _RUN, 1), visible)

        return self._once("aside", (older, self.recent.length), make)

    def edges(self, older: int) -> Places:
        """The sinks and `older` recent tokens, of which each query sees those that are out of its window.

        The two stay where they lie, and runs of the recent ones count from their beginning.
        """
        sinks, queries, positions = self.sinks.length, self.q_HTD.shape[1], self.plan.positions

        def make() -> Places:
            spans = (0, sinks), (self.base, self.base + older)
            place_S = torch.cat([torch.arange(*span, device=self.device) for span in spans])
            slot_S = torch.arange(len(place_S), device=self.device)
            length = 1 if positions.step is None else math.gcd(sinks, _RUN)
            starts_1X = positions.keys(slot_S, place_S)[::length].unsqueeze(0)
            turn = self.turn(starts_1X, length, positions.step or 0)
            out = self.recent.length - queries - self.plan.window + 1
            visible = Visible(queries, -queries, sinks + out, least=sinks)
            first_S = torch.where(slot_S < sinks, slot_S, slot_S - sinks)
            return Places(length, first_S[::length].unsqueeze(0), place_S[::length].unsqueeze(0), turn, visible)

        return self._once("edges", (sinks, older, self.recent.length, self.plan.window, positions), make)

    def aged(self, places: Places) -> Elsewhere:
        """The recent tokens, for those of the edges that lie among them."""
        heads = self.kv_heads

        def which() -> Tensor:
            return (places.place_NX >= self.base).long().expand(heads, -1)

        which_GX = self._once("aged", (heads, places.place_NX.shape[1], self.base), which)
        return Elsewhere(((self.recent.k_GTD, self.recent.v_GTE),), which_GX)

    def near_angles(self) -> Table | None:
        """How the queries are turned to meet recent tokens, the first of which stands at 0."""
        keys = self.recent.length
        return self._angles("near", (keys,), lambda: torch.arange(keys - self.q_HTD.shape[1], keys, device=self.device))

    def far_angles(self, far: int) -> Table | None:
        """How the queries are turned to meet `far` far keys."""

        def make() -> Tensor:
            at_T, near = self.at_T, self.plan.positions.beyond == "near"
            reach_T = at_T - self.base + 1 if near else torch.full_like(at_T, self.plan.window)
            return self.plan.positions.queries(at_T, far, reach_T)

        return self._angles("far", (far, self.recent.length, self.plan.window, self.plan.positions), make)

    def searching_angles(self) -> Table | None:
        """How the queries are turned to look for stored keys: to the edge of the window, or where these are met."""
        at = self.plan.positions.recalls_at or self.plan.window
        return self._angles("search", (at,), lambda: self.at_T.clamp(max=at))

    def runs(self, k_GSD: Tensor, v_GSE: Tensor, places: Places) -> Runs:
        """All of these keys, for the searches of a KV head each."""
        heads, keys, _ = k_GSD.shape
        heads_G = self._once("heads", (heads,), lambda: torch.arange(heads, device=self.device))
        first_GX = places.first_1X.expand(heads, -1)
        turn, visible = places.turn, places.visible
        return Runs(k_GSD, v_GSE, heads_G, first_GX, places.length, keys, turn, visible=visible, in_order=True)

    def turn(self, position_NX: Tensor, length: int, step: int, alike: int = 1) -> Turn | None:
        """The angles of runs that begin at these positions."""
        return None if self.rope is None else Turn(self.rope, position_NX, length, step, alike)

    def same_turn(self, runs: int, length: int) -> Turn | None:
        """The angles of so many runs that all stand at 0, and of some more, so that nearly as many share them."""
        most = 1 << (runs - 1).bit_length()

        def make() -> Turn | None:
            return self.turn(torch.zeros((1, most), dtype=torch.int64, device=self.device), length, 0)

        return self._once("same", (most, length), make)

    def folding(self, per_head: bool = False, per_token: bool = False) -> Folding:
        """How the queries are laid out for searches of KV heads, or of query heads, or of tokens too."""
        return Folding(self.q_HTD.shape[0], self.kv_heads, self.q_HTD.shape[1], per_head, per_token)

    @property
    def device(self) -> torch.device:
        """Where it all lies."""
        return self.q_HTD.device

    @property
    def kv_heads(self) -> int:
        """KV heads of the layer."""
        return self.recent.k_GTD.shape[0]

    @property
    def base(self) -> int:
        """The position in the text of the first recent token."""
        return self.seen - self.recent.length

    @property
    def at_T(self) -> Tensor:
        """The positions in the text of the queries."""
        return torch.arange(self.seen - self.q_HTD.shape[1], self.seen, device=self.device)

    def _angles(self, name: str, key: tuple[Hashable, ...], positions: Callable[[], Tensor]) -> Table | None:
        """The cos and sin of positions `[T]`, which name and key tell from others; None without a rope."""
        if self.rope is None:
            return None
        rope = self.rope
        return self._once(name, key, lambda: rope.table(positions().to(self.device)))

    def _once(self, name: str, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        return self.once((name, id(self.rope), self.seen, self.q_HTD.shape[1], *key), make)
