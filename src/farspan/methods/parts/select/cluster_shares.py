"""Which share of attention a key of every cluster would receive (Squeezed Attention, arXiv 2411.09688, sections 3.2
and 3.3).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, M = R * T query rows, n stretches in a piece, K
clusters in a stretch, C = n * K clusters, D key width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from farspan.cache.columns import Rows
from farspan.methods.parts.index.key_clusters import (
    CENTROID,
    CLUSTER,
    COARSE_CENTROID,
    COARSE_MEMBERS,
    MEMBERS,
    PARENT,
)
from farspan.methods.parts.searching import Search

_PIECE_CLUSTERS = 1024
_PIECE_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Level:
    """The columns of one level of clusters: their centroids, and how many keys each stands for."""

    centroid: str
    members: str


FINE, COARSE = Level(CENTROID, MEMBERS), Level(COARSE_CENTROID, COARSE_MEMBERS)


class Shares:
    """What a key of every cluster of a level would receive of the attention of some queries, on the mean.

    With a `gate` only clusters whose own cluster it lets through are compared, and the others receive nothing.
    """

    def __init__(self, search: Search, q_HTD: Tensor, level: Level = FINE, gate: Gate | None = None) -> None:
        assert search.index is not None
        self._index = search.index
        self._scoring = search.scoring
        self._level, self._gate = level, gate
        self._shape = q_HTD.shape[:2]
        self._q_GMD = q_HTD.float().reshape(search.kv_heads, -1, q_HTD.shape[-1])
        self._total_GM1 = self._q_GMD.new_full((*self._q_GMD.shape[:2], 1), float("-inf"))
        for rows in self._centroids():
            members_G1C = rows[level.members].flatten(1).unsqueeze(1).float()
            logits_GMC = self._logits(rows, self._open(rows)) + members_G1C.log()
            self._total_GM1 = torch.logaddexp(self._total_GM1, logits_GMC.logsumexp(-1, keepdim=True))

    def pieces(self) -> Iterator[tuple[Rows, Tensor]]:
        """Stretches, all that is known of them, and the shares of their clusters `[H, n, K]`."""
        names = tuple(column.name for column in self._index.columns)
        for _, rows in self._index.scan(names, max(1, _PIECE_TOKENS // self._length(CLUSTER))):
            yield rows, self.of(rows)

    def weighed(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The shares of all clusters `[H, n, K]`, and how many keys each stands for."""
        for rows in self._centroids():
            share_HnK = self.of(rows)
            yield share_HnK, by_query_head(rows[self._level.members], share_HnK.shape[0])

    def of(self, rows: Rows) -> Tensor:
        """The shares of these stretches' clusters `[H, n, K]`; less than nothing where the gate is closed."""
        open_HnK = self._open(rows)
        share_GMC = torch.exp(self._logits(rows, open_HnK) - self._total_GM1)
        share_HnK = share_GMC.view(*self._shape, -1).mean(1).view(-1, *rows[self._level.members].shape[1:])
        return share_HnK if open_HnK is None else share_HnK.masked_fill(~open_HnK, -1.0)

    def _open(self, rows: Rows) -> Tensor | None:
        """Which clusters of these stretches are compared `[H, n, K]`; None: all."""
        return None if self._gate is None else self._gate.open(rows)

    def _centroids(self) -> Iterator[Rows]:
        gated = () if self._gate is None else (COARSE_CENTROID, COARSE_MEMBERS, PARENT)
        names = (self._level.centroid, self._level.members, *gated)
        limit = max(1, _PIECE_CLUSTERS // self._length(self._level.members))
        return (rows for _, rows in self._index.scan(names, limit))

    def _length(self, name: str) -> int:
        return next(column.shape[0] for column in self._index.columns if column.name == name)

    def _logits(self, rows: Rows, open_HnK: Tensor | None) -> Tensor:
        """The logits `[G, M, C]` of the centroids, -inf of those that are not compared."""
        k_GCD = rows[self._level.centroid].flatten(1, 2)
        if open_HnK is None:
            return self._scoring.logits(self._q_GMD, k_GCD)
        open_GRC = open_HnK.flatten(1).unflatten(0, (len(k_GCD), -1))
        logits_GMC = self._q_GMD.new_full((*self._q_GMD.shape[:2], k_GCD.shape[1]), float("-inf"))
        for head, open_C in enumerate(open_GRC.any(1)):
            logits_GMC[head][:, open_C] = self._scoring.logits(self._q_GMD[head], k_GCD[head, open_C])
        closed_GRTC = ~open_GRC.unsqueeze(2).expand(-1, -1, self._shape[1], -1)
        return logits_GMC.masked_fill_(closed_GRTC.flatten(1, 2), float("-inf"))


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets clusters through whose own cluster draws a share of `least` or more."""

    coarse: Shares
    least: float

    def open(self, rows: Rows) -> Tensor:
        """Which clusters of these stretches: `[H, n, K]`."""
        keep_HnC = self.coarse.of(rows) >= self.least
        return keep_HnC.gather(2, by_query_head(rows[PARENT].long(), keep_HnC.shape[0]))


def by_query_head(x_G: Tensor, heads: int) -> Tensor:
    """What there is of every KV head, for each of its query heads."""
    return x_G.repeat_interleave(heads // x_G.shape[0], dim=0)
