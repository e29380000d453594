"""The best blocks of a stream of scored pieces, and fetching them.

Shapes: N searches, n blocks in a piece, X blocks chosen, B tokens in a block, D key width.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from farspan.methods.parts.axes import Fetched, Search

When = Literal["reading", "answering", "both"]
TIMES: dict[str, When] = {"reading": "reading", "answering": "answering", "both": "both"}


def works(when: When, answering: bool) -> bool:
    """Whether a selector that works `when` works on a chunk that is read or answered."""
    return when == "both" or (when == "answering") == answering


def best_rows(scored: Iterable[tuple[int, Tensor]], count: int) -> Tensor | None:
    """Block numbers `[N, X]` of the `count` highest scores, in the order of the text.

    `scored` gives pieces: the number of the piece's first block and scores `[N, n]`. None when there is no block.
    """
    best_score: Tensor | None = None
    best_row: Tensor | None = None
    for first, score_Nn in scored:
        row_Nn = torch.arange(first, first + score_Nn.shape[1], device=score_Nn.device).expand_as(score_Nn)
        if best_score is not None and best_row is not None:
            score_Nn, row_Nn = torch.cat((best_score, score_Nn), 1), torch.cat((best_row, row_Nn), 1)
        best_score, at_NX = score_Nn.topk(min(count, score_Nn.shape[1]), dim=1)
        best_row = row_Nn.gather(1, at_NX)
    return None if best_row is None else best_row.sort(dim=1).values


def fetch(search: Search, rows_NX: Tensor, heads_N: Tensor, *, per_head: bool, per_token: bool) -> Fetched:
    """Bring blocks `rows_NX[i]` of KV head `heads_N[i]` together for attention."""
    k_NXBD, v_NXBE = search.arena.gather(("k", "v"), rows_NX, heads_N)
    searches, blocks = rows_NX.shape
    tokens = blocks * search.block
    return Fetched(
        k_NXBD.view(searches, tokens, -1),
        v_NXBE.view(searches, tokens, -1),
        rows_NX,
        per_head=per_head,
        per_token=per_token,
    )
