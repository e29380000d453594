"""Hands the scan of an index to the compiled kernel.

Shapes: H query heads, T tokens, G KV heads, D key width, N searches, n rows of a piece, X best rows, F rotary
frequencies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS, Held, Match, array
from farspan.attention.queries import Queries

_THREAD_ROWS = 1024
_LEAST = torch.iinfo(torch.int64).min


class Best:
    """The `count` best rows of every search, while a scan goes on, piece by piece."""

    def __init__(self, kernel: Kernel, searches: int, count: int) -> None:
        self._kernel = kernel
        self._best_NX = torch.full((searches, count), _LEAST, device="cpu")
        self._rows = 0

    def keep(self, first: int, score_Nn: Tensor) -> None:
        """Take in the scores of rows from `first` on."""
        score_Nn = score_Nn.float()
        if score_Nn.stride(1) != 1:
            score_Nn = score_Nn.contiguous()
        searches, rows = score_Nn.shape
        addresses = score_Nn.data_ptr(), self._best_NX.data_ptr()
        count = self._best_NX.shape[1]
        self._kernel.keep(addresses[0], score_Nn.stride(0), searches, rows, first, addresses[1], count)
        self._rows += rows

    def match(self, first: int, k_GnD: Tensor, queries: Queries) -> None:
        """Take in rows from `first` on by their keys; a single search is of all heads."""
        held, q_HTD, rows = Held(), queries.still_HTD, k_GnD.shape[1]
        size = k_GnD.itemsize
        match = Match(
            q=held.floats(q_HTD),
            heads=q_HTD.shape[0],
            tokens=q_HTD.shape[1],
            width=q_HTD.shape[2],
            searches=self._best_NX.shape[0],
            kv_heads=k_GnD.shape[0],
            k=k_GnD.data_ptr(),
            k_head=k_GnD.stride(0) * size,
            k_row=k_GnD.stride(1) * size,
            kind=KINDS[k_GnD.dtype],
            first=first,
            rows=rows,
            best=self._best_NX.data_ptr(),
            count=self._best_NX.shape[1],
            team=self._kernel.team or 0,
            threads=min(torch.get_num_threads(), 1 + rows // _THREAD_ROWS),
        )
        if queries.rope is not None and queries.seeking is not None:
            match.cos, match.sin = map(held.floats, queries.seeking)
            match.frequencies, match.interleaved = queries.rope.width // 2, queries.rope.interleaved
        if self._kernel.match(array((match,))):
            raise MemoryError("no memory is left to search an index")
        self._rows += rows

    def rows(self, in_order: bool) -> Tensor:
        """The numbers of the best rows `[N, X]`, in the order of the text or the best first."""
        searches, count = self._best_NX.shape
        rows_NX = torch.empty(searches, min(count, self._rows), dtype=torch.int64, device="cpu")
        best = self._best_NX.data_ptr()
        self._kernel.best(best, searches, count, rows_NX.shape[1], in_order, rows_NX.data_ptr())
        return rows_NX


def fits(queries: Queries, k_GnD: Tensor) -> bool:
    """Whether the kernel can read these."""
    return queries.still_HTD.is_cpu and k_GnD.is_cpu and k_GnD.dtype in KINDS and k_GnD.stride(2) == 1
