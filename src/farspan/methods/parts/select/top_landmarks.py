"""Chunks by the attention that their landmarks would receive (ShadowKV, arXiv 2410.21465, section 4).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, M = R * T query rows, n chunks in a piece, X chunks
fetched, O outliers, B tokens in a chunk, D key width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.methods.parts.index.landmarks import LANDMARK, Outliers
from farspan.methods.parts.searching import Fetched, Found, Search, side_by_side
from farspan.methods.parts.select.ranking import When, in_pieces, in_text_order, works
from farspan.methods.parts.window_share import window_share

_PIECE_CHUNKS = 4096
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class TopLandmarks:
    """For every KV head the outliers, with their exact keys, and other chunks that hold `tokens` tokens.

    These are the ones with the largest share of attention to the landmarks, added up over the queries of the chunk, the
    greatest of the query heads. `tokens` of None are 2,048, and a quarter of the window where that is less.
    """

    tokens: int | None = None
    when: When = "answering"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the number of tokens for a model trained on `window` tokens."""
        return self if self.tokens is not None else replace(self, tokens=window_share(window, 4, 2048))

    def cadence(self, answering: bool) -> int | None:
        """Few queries share a lookup; the paper has one."""
        return _CHUNK if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """Outliers and chosen chunks together, in the order of the text."""
        if not works(self.when, search.answering):
            return
        assert self.tokens is not None
        outliers = Outliers.noted(search.notes)
        count = search.at_most(max(1, self.tokens // search.block))
        best_GX = best_rows(_shares(search, outliers.row_GO), count)
        if best_GX is not None:
            yield from _together(search, outliers, best_GX)


def _shares(search: Search, outlier_GO: Tensor) -> Iterator[tuple[int, Tensor]]:
    """What a chunk would receive: `[G, n]`, nothing for outliers."""
    heads, tokens, _ = search.q_HTD.shape
    rows = heads // search.kv_heads * tokens
    total_GM1 = search.q_HTD.new_full((search.kv_heads, rows, 1), float("-inf"), dtype=torch.float32)
    for _, logits_GMn in _logits(search, outlier_GO):
        total_GM1 = torch.logaddexp(total_GM1, logits_GMn.logsumexp(-1, keepdim=True))
    for first, logits_GMn in _logits(search, outlier_GO):
        share_GMn = torch.exp(logits_GMn - total_GM1).nan_to_num_(0.0)
        yield first, share_GMn.unflatten(1, (-1, tokens)).sum(2).amax(1)


def _logits(search: Search, outlier_GO: Tensor) -> Iterator[tuple[int, Tensor]]:
    assert search.index is not None
    q_GMD = search.q_HTD.float().reshape(search.kv_heads, -1, search.q_HTD.shape[-1])
    for first, rows in search.index.scan((LANDMARK,), _PIECE_CHUNKS):
        logits_GMn = search.scoring.logits(q_GMD, rows[LANDMARK])
        row_n = torch.arange(first, first + logits_GMn.shape[-1], device=q_GMD.device)
        outlier_G1n = (outlier_GO.unsqueeze(-1) == row_n).any(1, keepdim=True)
        yield first, logits_GMn.masked_fill_(outlier_G1n, float("-inf"))


def _together(search: Search, outliers: Outliers, best_GX: Tensor) -> Iterator[Fetched]:
    """Fetch both, decode the chosen, and put the exact keys of the outliers in their places."""
    again_GX = (best_GX.unsqueeze(-1) == outliers.row_GO.unsqueeze(1)).any(-1)
    there_GO = outliers.row_GO >= search.arena.first
    row_GX = torch.cat((outliers.row_GO.clamp(min=search.arena.first), best_GX), 1)
    row_GX, skip_G, order_GX = in_text_order(row_GX, torch.cat((there_GO, ~again_GX), 1))
    heads_G, last = torch.arange(search.kv_heads, device=row_GX.device), there_GO.shape[1] - 1

    def found(piece: slice) -> Found:
        k_GXBD, v_GXBE = search.gather(row_GX[:, piece], heads_G)
        at_GX = order_GX[:, piece]
        index_GXBD = at_GX.clamp(max=last)[..., None, None].expand(-1, -1, *k_GXBD.shape[2:])
        exact_GXBD = outliers.k_GOBD.gather(1, index_GXBD)
        k_GXBD = torch.where((at_GX <= last)[..., None, None], exact_GXBD, k_GXBD)
        return side_by_side(k_GXBD.flatten(1, 2), v_GXBE.flatten(1, 2), search.block)

    return in_pieces(search, row_GX, found, per_head=False, per_token=False, skip_N=skip_G)
