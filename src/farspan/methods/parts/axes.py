"""The axes on which methods differ, as the interfaces that a layer's memory calls.

Every part is an immutable value. A field left at None follows the model's window and is filled in by `resolve`.

Shapes: H query heads, G KV heads, T query tokens, N searches or blocks, n blocks in a piece, X blocks a search fetches,
S keys, A tokens of which some must go, B tokens in a block, D key width, E value width, ... any leading dims.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal, Protocol, Self

from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.attention.rope import Rope
from farspan.cache.columns import BlockShape, Column, Rows
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.importance.base import Importance
from farspan.methods.parts.notes import Noting
from farspan.methods.parts.searching import Fetched, Search

Beyond = Literal["hidden", "far", "near"]


class Part(Hashable, Protocol):
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

    @property
    def recalls_at(self) -> int | None:
        """The distance at which all fetched keys are looked for and met; None: like other far keys."""
        ...

    @property
    def step(self) -> int | None:
        """By how much neighbouring far keys are apart; None: it differs."""
        ...

    @property
    def alike(self) -> int:
        """Where it differs: so many far keys, from every multiple of that number on, share a position."""
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

    @property
    def pool(self) -> Pool | None:
        """Which of the tokens between the first and the last stay as well, if any do."""
        ...

    def dense(self, window: int) -> int:
        """Up to how many tokens everything is attended to, for a model trained on `window` tokens."""
        ...


class Pool(Keep, Protocol):
    """A `keep` with room for the tokens worth most, between the first and the last."""

    @property
    def by(self) -> Importance:
        """What a token is worth."""
        ...

    @property
    def limit(self) -> int:
        """How many tokens there may be at most: sinks, window, pool and those that come."""
        ...

    @property
    def average(self) -> int:
        """The same, on average over the layers."""
        ...

    @property
    def least(self) -> int:
        """The smallest average that there may be."""
        ...

    @property
    def chunk(self) -> int:
        """How many tokens may come at once."""
        ...

    @property
    def room(self) -> int:
        """Tokens that may come beside those that a choice keeps."""
        ...

    @property
    def best(self) -> int:
        """How many tokens a choice keeps between the first and the last."""
        ...

    def sized(self, average: int) -> Self:
        """The same with another average. Raises MethodError when it is too small."""
        ...

    def shared(self, share: float) -> Self:
        """The same with `share` of the room for the tokens worth most."""
        ...


class Allocate(Part, Protocol):
    """`allocate`: how the room for the tokens worth most is shared by the layers."""

    def share(self, layer: int, layers: int) -> float:
        """What the layer of this number gets, 1 on average."""
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

        `similarity_PP` sums products of the keys of the chunk and of the tokens with which its first block began.
        """
        ...

    def cut(self, tokens: int, mark_A: Tensor | None) -> list[int]:
        """The lengths of the blocks that so many tokens make, oldest first; what is left over waits."""
        ...


class Index(Part, Noting, Protocol):
    """`index`: what stands for a block when it is searched."""

    @property
    def needs_mass(self) -> bool:
        """Whether it looks at the attention that tokens received in the local window."""
        ...

    @property
    def needs_queries(self) -> bool:
        """Whether it looks at the queries of the block's tokens themselves."""
        ...

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """The columns that a block has beside its keys and values."""
        ...

    def rows(self, blocks: BlockTokens) -> Rows:
        """These columns for new blocks."""
        ...


class Codec(Part, Noting, Protocol):
    """`codec`: how the keys and values of a stored block are encoded."""

    @property
    def lossless(self) -> bool:
        """Whether what is decoded is what was encoded."""
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

    def keys(self, rows: Rows, by: Decoding) -> Tensor:
        """Decode the key columns of any blocks: `[N, ..., B, D]` in the model's dtype."""
        ...

    def products(self, q_GMD: Tensor, rows: Rows, by: Decoding) -> Tensor:
        """The products `[G, M, n, B]` of queries with all keys of n blocks of their head, in float32."""
        ...

    def values(self, rows: Rows, by: Decoding) -> Tensor:
        """Decode the value columns of any blocks: `[N, ..., B, E]` in the model's dtype."""
        ...


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
