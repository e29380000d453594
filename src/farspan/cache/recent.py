"""The newest tokens of one layer in one contiguous buffer, with the attention mass that each received.

Shapes: G KV heads, H query heads, T tokens, D key width, E value width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_FIRST_TOKENS = 256


class Tokens(NamedTuple):
    """Consecutive tokens: un-rotated keys `[G, T, D]`, values `[G, T, E]`, attention mass `[G, T]` in float32.

    `q_HTD` are their own un-rotated queries, of no heads where the queue does not hold them.
    """

    k_GTD: Tensor
    v_GTE: Tensor
    mass_GT: Tensor
    q_HTD: Tensor

    def part(self, start: int, end: int) -> Tokens:
        """Tokens `[start, end)` of these, as views."""
        k_GTD, v_GTE, mass_GT, q_HTD = self
        return Tokens(k_GTD[:, start:end], v_GTE[:, start:end], mass_GT[:, start:end], q_HTD[:, start:end])

    def clone(self) -> Tokens:
        """A copy that shares nothing."""
        return Tokens(*(value.clone() for value in self))

    @property
    def length(self) -> int:
        """How many tokens these are."""
        return self.k_GTD.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of keys, values and queries."""
        return sum(value.numel() * value.element_size() for value in (self.k_GTD, self.v_GTE, self.q_HTD))


class Recent:
    """A queue of at most `capacity` tokens: appended at the end, taken from the front.

    The buffer grows by doubling up to a little more than its capacity; then its content slides to the front
    whenever the end is reached, which costs less than one copy a token. It holds the queries of `query_heads` heads.
    """

    def __init__(
        self,
        heads: int,
        key_dim: int,
        value_dim: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device,
        query_heads: int = 0,
    ) -> None:
        self.capacity = capacity
        self._limit = self.buffer_tokens(capacity)
        self._low = self._high = 0
        self._tokens: Tokens | None = None
        size = min(self._limit, _FIRST_TOKENS)
        self._data = Tokens(
            torch.empty((heads, size, key_dim), dtype=dtype, device=device),
            torch.empty((heads, size, value_dim), dtype=dtype, device=device),
            torch.empty((heads, size), dtype=torch.float32, device=device),
            torch.empty((query_heads, size, key_dim), dtype=dtype, device=device),
        )

    @staticmethod
    def buffer_tokens(capacity: int) -> int:
        """Tokens that a queue of this capacity allocates at most."""
        return capacity + max(capacity // 4, 1)

    def __len__(self) -> int:
        return self._high - self._low

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, with the room for tokens to come."""
        return sum(value.nbytes for value in self._data)

    @property
    def tokens(self) -> Tokens:
        """All tokens of the queue, oldest first, as views that the next `append` may move."""
        if self._tokens is None:
            self._tokens = self._data.part(self._low, self._high)
        return self._tokens

    def append(self, k_GTD: Tensor, v_GTE: Tensor, mass_GT: Tensor | None = None, q_HTD: Tensor | None = None) -> None:
        """Add tokens at the end; without a mass they begin at 0. Queries are left out where the queue holds none."""
        added = k_GTD.shape[1]
        assert len(self) + added <= self.capacity, "more tokens than the queue may hold"
        self._make_room(added)
        new, data = slice(self._high, self._high + added), self._data
        data.k_GTD[:, new] = k_GTD
        data.v_GTE[:, new] = v_GTE
        if mass_GT is None:
            data.mass_GT[:, new].zero_()
        else:
            data.mass_GT[:, new] = mass_GT
        if data.q_HTD.shape[0]:
            assert q_HTD is not None
            data.q_HTD[:, new] = q_HTD
        self._high += added
        self._tokens = None

    def take(self, count: int) -> Tokens:
        """Remove the oldest tokens and return them, as views that the next `append` may overwrite."""
        assert count <= len(self)
        self._low += count
        self._tokens = None
        return self._data.part(self._low - count, self._low)

    def shrunk(self, capacity: int) -> Recent:
        """A queue with the same tokens and another capacity."""
        held = self.tokens
        heads, _, key_dim = held.k_GTD.shape
        widths = heads, key_dim, held.v_GTE.shape[-1], capacity
        queue = Recent(*widths, held.k_GTD.dtype, held.k_GTD.device, held.q_HTD.shape[0])
        queue.append(*held)
        return queue

    def drop_last(self, count: int) -> None:
        """Remove the newest tokens, as if they had not been appended."""
        assert count <= len(self)
        self._high -= count
        self._tokens = None

    def _make_room(self, added: int) -> None:
        size = self._data.length
        if self._high + added <= size:
            return
        held = self.tokens
        if len(self) + added > size // 2 and size < self._limit:
            grown = min(self._limit, max(2 * size, len(self) + added))
            self._data = Tokens(*(value.new_empty((value.shape[0], grown, *value.shape[2:])) for value in self._data))
        else:
            held = held.clone()
        for into, value in zip(self._data.part(0, held.length), held, strict=True):
            into.copy_(value)
        self._low, self._high = 0, held.length
