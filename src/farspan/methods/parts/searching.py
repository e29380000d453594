"""What a selection of blocks may look at, and what it fetches.

Shapes: H query heads, G KV heads, T query tokens, M queries of a KV head, N searches, n blocks in a piece, X blocks a
search fetches, S keys, B tokens in a block, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from farspan.attention.kernels import key_logits
from farspan.attention.queries import Queries
from farspan.attention.runs import Elsewhere, Runs, Turn, once_if_alike, tokens_of
from farspan.attention.softmax import Scoring
from farspan.cache.arena import Arena
from farspan.cache.columns import BlockShape
from farspan.methods.parts.decoding import Decoding
from farspan.methods.parts.notes import Notes

if TYPE_CHECKING:
    from farspan.methods.parts.axes import Codec

_FEW_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Search:
    """What a selector may look at: the chunk's queries as they look for keys, as they meet them and un-rotated, and
    the blocks.

    `arena` stores the tokens in rows of `block`, which `keys_and_values` and `gather` decode; `index` has a row for
    every block, if anything stands for it. `carried` is what the selector left there at the chunk before, to be
    replaced and not changed; `peers` are those of all layers in the order in which they take the chunk, for reading;
    `notes` is what codec and index remember of the layer.
    """

    queries: Queries
    scoring: Scoring
    arena: Arena
    index: Arena | None
    answering: bool
    carried: dict[str, Tensor]
    peers: Sequence[Mapping[str, Tensor]]
    codec: Codec
    shape: BlockShape
    notes: Notes

    @property
    def q_HTD(self) -> Tensor:
        """The queries as they look for stored keys, which are un-rotated."""
        return self.queries.seeking_HTD

    @property
    def still_HTD(self) -> Tensor:
        """The queries un-rotated."""
        return self.queries.still_HTD

    @property
    def kv_heads(self) -> int:
        """KV heads of the layer."""
        return self.shape.heads

    @property
    def block(self) -> int:
        """Tokens in a row of the arena."""
        return self.shape.tokens

    def at_most(self, count: int) -> int:
        """`count`, or as many blocks as there are where that is less."""
        held = self.index or self.arena
        return min(count, held.length - held.first)

    def products(self, limit: int) -> Iterator[tuple[int, Tensor]]:
        """All blocks, oldest first, `limit` at a time at most: the first's number, and what the queries score their
        keys: products `[H * T, n, B]` without a scale, in float32.
        """
        q_GMD = self.q_HTD.reshape(self.kv_heads, -1, self.shape.key_dim)
        for first, rows in self.arena.scan(self.codec.key_columns, limit):
            yield first, self.codec.products(q_GMD, rows, self.decoding()).flatten(0, 1)

    def keys_and_values(self, limit: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """All blocks likewise: the first's number, un-rotated keys `[G, n, B, D]` and values `[G, n, B, E]`."""
        for first, rows in self.arena.scan(self._columns, limit):
            by = self.decoding()
            yield first, self.codec.keys(rows, by), self.codec.values(rows, by)

    def found(self, rows_NX: Tensor, heads_N: Tensor, *, per_token: bool) -> Found:
        """Blocks `rows_NX[i]` of KV head `heads_N[i]` for attention: where they lie if few queries meet them, as when
        searches are made `per_token`, and they are stored as they are met; otherwise brought together and decoded.

        What many tokens want of lower tiers has to fit the slots. Otherwise copies are made, of always the same size.
        """
        few = self.still_HTD.shape[1] <= _FEW_TOKENS
        stored = None
        if self.codec.lossless and (few or per_token):
            stored = self.arena.lying(self._columns, rows_NX, heads_N, beside=few)
        if stored is not None:
            (k_GSD, v_GSE), *others = map(_tokens, stored.memories)
            elsewhere = None if stored.which_NX is None else Elsewhere(tuple(others), stored.which_NX)
            first_NX = (once_if_alike(stored.at_NX) * self.block).expand_as(rows_NX)
            return Found(k_GSD, v_GSE, heads_N, first_NX, elsewhere=elsewhere)
        k_NXBD, v_NXBE = self.gather(rows_NX, heads_N)
        return side_by_side(k_NXBD.flatten(1, 2), v_NXBE.flatten(1, 2), self.block)

    def gather(self, rows_NX: Tensor, heads_N: Tensor) -> tuple[Tensor, Tensor]:
        """Keys `[N, X, B, D]` and values `[N, X, B, E]` of blocks `rows_NX[i]` of KV head `heads_N[i]`."""
        rows = dict(zip(self._columns, self.arena.gather(self._columns, rows_NX, heads_N), strict=True))
        by = self.decoding(heads_N)
        return self.codec.keys(rows, by), self.codec.values(rows, by)

    def decoding(self, heads_N: Tensor | None = None) -> Decoding:
        """By what rows of these KV heads are decoded; None: of all."""
        heads_N = torch.arange(self.kv_heads, device=self.arena.device) if heads_N is None else heads_N
        return Decoding(self.shape, heads_N, self.notes)

    @property
    def _columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.codec.key_columns, *self.codec.value_columns)))


class Found(NamedTuple):
    """Where fetched blocks lie: search i meets those of KV head `heads_N[i]` that begin at tokens `first_NX[i]`.

    `in_order`: all that there is, head by head. `elsewhere`: which of them lie in other memories than this.
    """

    k_GSD: Tensor
    v_GSE: Tensor
    heads_N: Tensor
    first_NX: Tensor
    in_order: bool = False
    elsewhere: Elsewhere | None = None

    def cut(self, block: int, length: int) -> Found:
        """The same with blocks cut into runs of `length` tokens."""
        elsewhere = self.elsewhere
        if elsewhere is not None:
            elsewhere = replace(elsewhere, which_NX=elsewhere.which_NX.repeat_interleave(block // length, 1))
        return self._replace(first_NX=tokens_of(self.first_NX, block)[:, ::length], elsewhere=elsewhere)

    def runs(self, length: int, turn: Turn | None = None, skip_N: Tensor | None = None) -> Runs:
        """What is met: `length` tokens from each beginning on, without the first `skip_N` stretches of search i."""
        keys = self.first_NX.shape[1] * length
        return Runs(*self[:4], length, keys, turn, skip_N, in_order=self.in_order, elsewhere=self.elsewhere)


def _tokens(blocks: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    k_GnBD, v_GnBE = blocks
    return k_GnBD.flatten(1, 2), v_GnBE.flatten(1, 2)


def side_by_side(k_NSD: Tensor, v_NSE: Tensor, block: int) -> Found:
    """Blocks that were brought together for each search."""
    searches, tokens, _ = k_NSD.shape
    first_X = torch.arange(0, tokens, block, device=k_NSD.device)
    heads_N = torch.arange(searches, device=k_NSD.device)
    return Found(k_NSD, v_NSE, heads_N, first_X.expand(searches, -1), in_order=True)


def products(q_GMD: Tensor, k_GnBD: Tensor) -> Tensor:
    """The products `[G, M, n, B]` of queries with all keys of their head, in float32."""
    heads, blocks, block, width = k_GnBD.shape
    k_GSD = k_GnBD.reshape(heads, -1, width)
    product_GMS = key_logits(q_GMD, side_by_side(k_GSD, k_GSD, block).runs(block), Scoring(1.0))
    return product_GMS.view(heads, -1, blocks, block)


class Fetched(NamedTuple):
    """Blocks that were fetched for a chunk, and their numbers `[N, X]`.

    `per_head`: searches are made for query heads, otherwise for KV heads; `per_token`: for every token of the chunk,
    otherwise for the chunk as a whole. N runs over heads first, then tokens. `skip_N`: how many of its first blocks a
    search does not meet, where searches fetch different numbers. `fleeting`: gone when the next ones are asked for.

    `before` and `after`: so many blocks of the same search lie in other pieces, which come before and behind this one.
    """

    found: Found
    rows_NX: Tensor
    per_head: bool
    per_token: bool
    skip_N: Tensor | None = None
    fleeting: bool = False
    before: int = 0
    after: int = 0
