"""The best blocks of a stream of scored pieces, and fetching them.

Shapes: N searches, n blocks in a piece, X blocks chosen, B tokens in a block, D key width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from farspan.methods.parts.axes import Fetched, Search

_LAST_ROW = 0x7FFFFFFF
_ROW_BITS = 0xFFFFFFFF
When = Literal["reading", "answering", "both"]
TIMES: dict[str, When] = {"reading": "reading", "answering": "answering", "both": "both"}


def works(when: When, answering: bool) -> bool:
    """Whether a selector that works `when` works on a chunk that is read or answered."""
    return when == "both" or (when == "answering") == answering


def best_rows(scored: Iterable[tuple[int, Tensor]], count: int) -> Tensor | None:
    """Block numbers `[N, X]` of the `count` highest scores, in the order of the text; see `ranked_rows`."""
    rows_NX = ranked_rows(scored, count)
    return None if rows_NX is None else rows_NX.sort(dim=1).values


def ranked_rows(scored: Iterable[tuple[int, Tensor]], count: int) -> Tensor | None:
    """Block numbers `[N, X]` of the `count` highest scores, the highest first; of equal scores the earlier.

    `scored` gives pieces: the number of the piece's first block and scores `[N, n]`. None when there is no block.
    """
    best_NX: Tensor | None = None
    for first, score_Nn in scored:
        rank_Nn = _ranks(score_Nn, first)
        if best_NX is not None:
            rank_Nn = torch.cat((best_NX, rank_Nn), 1)
        best_NX = rank_Nn.topk(min(count, rank_Nn.shape[1]), dim=1).values
    return None if best_NX is None else _LAST_ROW - (best_NX & _ROW_BITS)


def _ranks(score_Nn: Tensor, first: int) -> Tensor:
    """One whole number a block that sorts by score and then by row, so that no choice hangs on how a scan is cut."""
    bits_Nn = score_Nn.float().contiguous().view(torch.int32)
    ordered_Nn = bits_Nn ^ ((bits_Nn >> 31) & 0x7FFFFFFF)
    row_n = torch.arange(first, first + score_Nn.shape[1], device=score_Nn.device)
    return (ordered_Nn.long() << 32) | (_LAST_ROW - row_n)


def heads_of(search: Search, per_token: bool) -> Tensor:
    """The KV head of every search of one query head each, for every token apart or for the chunk as a whole: `[N]`."""
    heads, tokens, _ = search.q_HTD.shape
    heads_H = torch.arange(heads, device=search.q_HTD.device) // (heads // search.kv_heads)
    return heads_H.repeat_interleave(tokens) if per_token else heads_H


def fetch(search: Search, rows_NX: Tensor, heads_N: Tensor, *, per_head: bool, per_token: bool) -> Fetched:
    """Bring blocks `rows_NX[i]` of KV head `heads_N[i]` together for attention."""
    k_NXBD, v_NXBE = search.gather(rows_NX, heads_N)
    searches, blocks = rows_NX.shape
    tokens = blocks * search.block
    return Fetched(
        k_NXBD.view(searches, tokens, -1),
        v_NXBE.view(searches, tokens, -1),
        rows_NX,
        per_head=per_head,
        per_token=per_token,
    )
