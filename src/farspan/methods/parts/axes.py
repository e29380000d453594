"""The axes on which methods differ, as the interfaces that a layer's memory calls.

Every part is an immutable value. A field left at None follows the model's window and is filled in by `resolve`.

Shapes: H query heads, G KV heads, T query tokens, N searches or blocks, n blocks in a piece, X blocks a search fetches,
S keys, B tokens in a block, D key width, E value width, ... any leading dims.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self

from torch import Tensor

from farspan.attention.kernels import Scoring
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape, Column, Rows

Beyond = Literal["hidden", "far", "near"]


class Part(Protocol):
    """Anything that stands on an axis."""

    def resolve(self, window: int) -> Self:
        """This part with every open number chosen for a model trained on `window` tokens."""
        ...


class Positions(Part, Protocol):
    """`positions`: at which angles queries meet the keys that lie outside the local window."""

    @property
    def beyond(self) -> Beyond:
        """Tokens that left the window and are not in a block yet: hidden, met as far keys, or as near ones."""
        ...

    @property
    def keeps_distance(self) -> bool:
        """Whether every key is met at its distance in the text."""
        ...

    def queries(self, position_T: Tensor, far: int, reach_T: Tensor) -> Tensor:
        """Positions for the queries, which stand at `position_T` seeing `far` far and `reach_T` near keys."""
        ...

    def keys(self, slot_S: Tensor, position_S: Tensor) -> Tensor:
        """Positions for far keys that are `slot_S`-th of the far keys and stand at `position_S` in the text."""
        ...


class Frequencies(Part, Protocol):
    """`frequencies`: into which angles a position is turned.

    Of all parts this one alone is resolved with the trained window, and the others with what it makes of that.
    """

    @property
    def begins(self) -> int | None:
        """Up to how many tokens of a stream the trained angles serve; None: always."""
        ...

    def window(self, window: int) -> int:
        """How far positions may go that a model trained on `window` tokens is meant to bear."""
        ...

    def rope(self, rope: Rope, length: int) -> Rope:
        """The changed angles, when positions go up to `length`."""
        ...

    def sharpness(self, layer: int, met_T: Tensor) -> Tensor | None:
        """By what to multiply the logits of queries that meet `met_T` tokens in the layer of this number; None: 1."""
        ...


class Keep(Part, Protocol):
    """`keep`: what stays on the device whatever the query, and whether the rest is stored or dropped."""

    @property
    def sinks(self) -> int | None:
        """First tokens that stay on the device."""
        ...

    @property
    def window(self) -> int | None:
        """Last tokens that stay on the device."""
        ...

    @property
    def stores(self) -> bool:
        """Whether the rest is stored; otherwise it is dropped."""
        ...

    def dense(self, window: int) -> int:
        """Up to how many tokens everything is attended to, for a model trained on `window` tokens."""
        ...


class Segment(Part, Protocol):
    """`segment`: where blocks begin and end."""

    @property
    def row(self) -> int:
        """Tokens that are stored as one row: a whole block, or one where blocks differ in length."""
        ...

    @property
    def lengths(self) -> tuple[int, int]:
        """The fewest and the most tokens of a block."""
        ...

    @property
    def surprise(self) -> bool:
        """Whether `marks` are made of every chunk, of how much its tokens surprised the model."""
        ...

    @property
    def by_keys(self) -> bool:
        """Whether `marks` wants to know how alike the keys are."""
        ...

    def marks(self, surprise_T: Tensor, before_N: Tensor, similarity_PP: Tensor | None) -> Tensor:
        """Which tokens of a chunk begin a block, `[T]`, given the surprise of these and of those before them.

        `similarity_PP` sums the products of the keys of the chunk, and of the tokens before it that its first block
        may have begun with.
        """
        ...

    def cut(self, tokens: int, mark_A: Tensor | None) -> list[int]:
        """The lengths of the blocks that so many tokens make, oldest first; what is left over waits."""
        ...


class Index(Part, Protocol):
    """`index`: what stands for a block when it is searched."""

    @property
    def needs_mass(self) -> bool:
        """Whether it looks at the attention that tokens received in the local window."""
        ...

    def columns(self, heads: int, key_dim: int) -> tuple[Column, ...]:
        """The columns that a block has beside its keys and values."""
        ...

    def rows(self, k_GNBD: Tensor, mass_GNB: Tensor, length_N: Tensor) -> Rows:
        """These columns for N new blocks, of which the first `length_N` tokens count."""
        ...


class Surroundings(NamedTuple):
    """What a codec may look at beside the tokens of a block.

    `energy_GTD`: squares of the last queries, the mean over the heads of a KV head, in float32; `rope`: how the layer
    turns queries and keys.
    """

    energy_GTD: Tensor
    rope: Rope | None


class Codec(Part, Protocol):
    """`codec`: how the keys and values of a stored block are encoded."""

    @property
    def lossless(self) -> bool:
        """Whether what is decoded is what was encoded."""
        ...

    @property
    def queries(self) -> int:
        """How many of the last queries it looks at."""
        ...

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns that keys are decoded from."""
        ...

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The columns that values are decoded from."""
        ...

    def columns(self, shape: BlockShape) -> tuple[Column, ...]:
        """What a block is stored as."""
        ...

    def encode(self, k_GNBD: Tensor, v_GNBE: Tensor, around: Surroundings) -> Rows:
        """These columns for N new blocks of un-rotated keys and values."""
        ...

    def keys(self, rows: Rows, shape: BlockShape) -> Tensor:
        """Decode the key columns of any blocks: `[..., B, D]` in the model's dtype."""
        ...

    def values(self, rows: Rows, shape: BlockShape) -> Tensor:
        """Decode the value columns of any blocks: `[..., B, E]` in the model's dtype."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """What a selector may look at: the chunk's queries as they meet a key at the edge of the window, and the blocks.

    `arena` stores the tokens in rows of `block`, which `keys`, `keys_and_values` and `gather` decode; `index` has a row
    for every block, if anything stands for it. `carried` is what the selector left there at the chunk before, to be
    replaced and not changed.
    """

    q_HTD: Tensor
    scoring: Scoring
    arena: Arena
    index: Arena | None
    answering: bool
    carried: dict[str, Tensor]
    codec: Codec
    shape: BlockShape

    @property
    def kv_heads(self) -> int:
        """KV heads of the layer."""
        return self.shape.heads

    @property
    def block(self) -> int:
        """Tokens in a row of the arena."""
        return self.shape.tokens

    def keys(self, limit: int) -> Iterator[tuple[int, Tensor]]:
        """All blocks, oldest first, `limit` at a time at most: the first's number, un-rotated keys `[G, n, B, D]`."""
        for first, rows in self.arena.scan(self.codec.key_columns, limit):
            yield first, self.codec.keys(rows, self.shape)

    def keys_and_values(self, limit: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The same with the values `[G, n, B, E]`."""
        for first, rows in self.arena.scan(self._columns, limit):
            yield first, self.codec.keys(rows, self.shape), self.codec.values(rows, self.shape)

    def gather(self, rows_NX: Tensor, heads_N: Tensor) -> tuple[Tensor, Tensor]:
        """Keys `[N, X, B, D]` and values `[N, X, B, E]` of blocks `rows_NX[i]` of KV head `heads_N[i]`."""
        rows = dict(zip(self._columns, self.arena.gather(self._columns, rows_NX, heads_N), strict=True))
        return self.codec.keys(rows, self.shape), self.codec.values(rows, self.shape)

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.codec.key_columns, *self.codec.value_columns)))


class Fetched(NamedTuple):
    """Blocks that were fetched for a chunk: keys `[N, S, D]`, values `[N, S, E]`, block numbers `[N, X]`, S = X * B.

    `per_head`: searches are made for query heads, otherwise for KV heads; `per_token`: for every token of the chunk,
    otherwise for the chunk as a whole. N runs over heads first, then tokens.
    """

    k_NSD: Tensor
    v_NSE: Tensor
    rows_NX: Tensor
    per_head: bool
    per_token: bool


class Select(Part, Protocol):
    """`select`: which blocks a chunk of queries fetches, and when."""

    @property
    def recalls(self) -> bool:
        """Whether anything is ever fetched."""
        ...

    @property
    def needs_all(self) -> bool:
        """Whether every block is, so that none may be dropped."""
        ...

    def cadence(self, answering: bool) -> int | None:
        """How many tokens at most may share one call of `segments`; None: any number."""
        ...

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The blocks to attend to, in pieces that may be attended to one after the other."""
        ...
