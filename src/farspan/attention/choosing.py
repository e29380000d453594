"""The best rows of an index: of scores that are given, or of the products of its keys with the queries of a chunk.

Rows are ranked by score, and of equal scores the earlier first, so that no choice hangs on how a scan is cut.

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, D key width, N searches, n rows in a piece, X rows
chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from farspan.attention.kernels import native_kernel
from farspan.attention.native import search
from farspan.attention.queries import Queries

_LAST_ROW = 0x7FFFFFFF
_ROW_BITS = 0xFFFFFFFF
_SMALL = 1 << 16
Pieces = Iterable[tuple[int, Tensor]]


def best_rows(scored: Pieces, count: int, in_order: bool = True) -> Tensor | None:
    """Row numbers `[N, X]` of the `count` highest scores, in the order of the text or the highest first.

    `scored` gives pieces: the number of the piece's first row and scores `[N, n]`. None when there is no row.
    """
    kernel, best = native_kernel(), None
    pieces = iter(scored)
    for first, score_Nn in pieces:
        if isinstance(kernel, str) or not score_Nn.is_cpu:
            return _ranked(_chained(first, score_Nn, pieces), count, in_order)
        best = best or search.Best(kernel, len(score_Nn), count)
        best.keep(first, score_Nn)
    return None if best is None else best.rows(in_order)


def matching_rows(queries: Queries, keys: Pieces, count: int, *, shared: bool, in_order: bool = True) -> Tensor | None:
    """The rows whose keys `[G, n, D]` have the largest dot product with the mean query of a chunk: `[N, X]`.

    With `shared`, one search, whose products are added up over all heads; otherwise one for every query head.
    """
    kernel, best = native_kernel(), None
    pieces = iter(keys)
    for first, k_GnD in pieces:
        if isinstance(kernel, str) or not search.fits(queries, k_GnD):
            return _ranked(_products(queries, _chained(first, k_GnD, pieces), shared), count, in_order)
        best = best or search.Best(kernel, 1 if shared else len(queries.still_HTD), count)
        best.match(first, k_GnD, queries)
    return None if best is None else best.rows(in_order)


def _chained(first: int, piece: Tensor, others: Pieces) -> Iterator[tuple[int, Tensor]]:
    yield first, piece
    yield from others


def _products(queries: Queries, keys: Pieces, shared: bool) -> Iterator[tuple[int, Tensor]]:
    mean_HD = queries.seeking_HTD.float().mean(1)
    for first, k_GnD in keys:
        mean_GRD = mean_HD.view(len(k_GnD), -1, mean_HD.shape[-1])
        if shared:
            yield first, torch.bmm(k_GnD.float(), mean_GRD.sum(1).unsqueeze(2)).sum(0).T
        else:
            yield first, torch.matmul(mean_GRD, k_GnD.float().transpose(1, 2)).flatten(0, 1)


def _ranked(scored: Pieces, count: int, in_order: bool) -> Tensor | None:
    best_NX: Tensor | None = None
    for first, score_Nn in _joined(scored):
        rank_Nn = _ranks(score_Nn, first)
        if best_NX is not None:
            rank_Nn = torch.cat((best_NX, rank_Nn), 1)
        best_NX = rank_Nn.topk(min(count, rank_Nn.shape[1]), dim=1).values
    if best_NX is None:
        return None
    rows_NX = _LAST_ROW - (best_NX & _ROW_BITS)
    return rows_NX.sort(dim=1).values if in_order else rows_NX


def _joined(scored: Iterable[tuple[int, Tensor]]) -> Iterator[tuple[int, Tensor]]:
    """Neighbouring pieces as one, as long as it is small."""
    start, held = 0, list[Tensor]()
    for first, score_Nn in scored:
        if held and sum(part.numel() for part in held) + score_Nn.numel() > _SMALL:
            yield start, torch.cat(held, 1)
            held = []
        start = start if held else first
        held.append(score_Nn)
    if held:
        yield start, held[0] if len(held) == 1 else torch.cat(held, 1)


def _ranks(score_Nn: Tensor, first: int) -> Tensor:
    """One whole number a block that sorts by score and then by row, so that no choice hangs on how a scan is cut."""
    bits_Nn = score_Nn.float().contiguous().view(torch.int32)
    ordered_Nn = bits_Nn ^ ((bits_Nn >> 31) & 0x7FFFFFFF)
    last = _LAST_ROW - first
    return (ordered_Nn.long() << 32) | torch.arange(last, last - score_Nn.shape[1], -1, device=score_Nn.device)
