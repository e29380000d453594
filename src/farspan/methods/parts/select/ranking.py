"""What selections share: when they work, blocks in the order of the text, and fetching them.

Shapes: N searches, n blocks in a piece, X blocks chosen, B tokens in a block, D key width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from farspan.methods.parts.searching import Fetched, Found, Search

_PIECE_TOKENS = 4096
_FETCHED_TOKENS = 32_768
_TOGETHER = 32
When = Literal["reading", "answering", "both"]
TIMES: dict[str, When] = {"reading": "reading", "answering": "answering", "both": "both"}


def works(when: When, answering: bool) -> bool:
    """Whether a selector that works `when` works on a chunk that is read or answered."""
    return when == "both" or (when == "answering") == answering


def in_text_order(rows_NX: Tensor, meets_NX: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows sorted, those that are not met before all others and as few of them as searches differ; how many of them
    are not met `[N]`; where they were.

    So what is met ends where the window begins, however many are met. At least one row a search is left.
    """
    sorted_NX, order_NX = rows_NX.masked_fill(~meets_NX, -1).sort(dim=1, stable=True)
    most = max(1, int((sorted_NX >= 0).sum(1).max()))
    order_NX = order_NX[:, -most:]
    return rows_NX.gather(1, order_NX), (sorted_NX[:, -most:] < 0).sum(1), order_NX


def together(each: int, room: int) -> int:
    """How many tokens go together where every one fetches for itself: few, fewer where `each` takes much of `room`."""
    return max(1, min(_TOGETHER, room // each))


def heads_of(search: Search, per_token: bool) -> Tensor:
    """The KV head of every search of one query head each, for every token apart or for the chunk as a whole: `[N]`."""
    heads, tokens, _ = search.q_HTD.shape
    heads_H = torch.arange(heads, device=search.q_HTD.device) // (heads // search.kv_heads)
    return heads_H.repeat_interleave(tokens) if per_token else heads_H


def single_keys(search: Search, token_NX: Tensor, heads_N: Tensor) -> Tensor:
    """Un-rotated keys `[N, X, D]` of single tokens, numbered through all blocks, of KV head `heads_N[i]`."""
    rows_NX, within_NX = token_NX // search.block, token_NX % search.block
    names = search.codec.key_columns
    apart = {column.name for column in search.arena.columns if column.by_token}
    parts = zip(names, search.arena.gather(names, rows_NX, heads_N, within_NX), strict=True)
    rows = {name: part.unsqueeze(2) if name in apart else part for name, part in parts}
    k_NXBD = search.codec.keys(rows, search.decoding(heads_N))
    if k_NXBD.shape[2] == 1:
        return k_NXBD.squeeze(2)
    return k_NXBD.gather(2, within_NX[..., None, None].expand(-1, -1, 1, k_NXBD.shape[-1])).squeeze(2)


def fetch(
    search: Search,
    rows_NX: Tensor,
    heads_N: Tensor,
    *,
    per_head: bool,
    per_token: bool,
    skip_N: Tensor | None = None,
) -> Iterator[Fetched]:
    """Bring blocks `rows_NX[i]` of KV head `heads_N[i]` together for attention."""

    def found(piece: slice) -> Found:
        return search.found(rows_NX[:, piece], heads_N, per_token=per_token)

    return in_pieces(search, rows_NX, found, per_head=per_head, per_token=per_token, skip_N=skip_N)


def in_pieces(
    search: Search,
    rows_NX: Tensor,
    found: Callable[[slice], Found],
    *,
    per_head: bool,
    per_token: bool,
    skip_N: Tensor | None = None,
) -> Iterator[Fetched]:
    """Fetch rows of which there may be any number, so few at a time that these take up no more than a chunk may.

    `found` brings some of them together. Without its first `skip_N` a search begins in a later piece.
    """
    count, searches = rows_NX.shape[1], search.q_HTD.shape[1] if per_token else 1
    limit = max(1, min(_PIECE_TOKENS, _FETCHED_TOKENS // searches) // search.block)
    for first in range(0, count, limit):
        piece_NX = rows_NX[:, first : first + limit]
        yield Fetched(
            found(slice(first, first + limit)),
            piece_NX,
            per_head=per_head,
            per_token=per_token,
            skip_N=None if skip_N is None else (skip_N - first).clamp(0, piece_NX.shape[1]),
            fleeting=count > limit,
            before=first,
            after=count - first - piece_NX.shape[1],
        )
