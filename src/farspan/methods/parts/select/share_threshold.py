"""Every key whose cluster draws more attention than a threshold (Squeezed Attention, arXiv 2411.09688, section 3).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens, M = R * T query rows, n stretches in a piece, K
clusters in a stretch, B tokens in a stretch, C = n * K clusters, S = n * B tokens, X tokens fetched, O last queries, D
key width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from farspan.cache.columns import Rows
from farspan.methods.parts.index.key_clusters import CENTROID, CLUSTER, MEMBERS, OBSERVED
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, in_text_order, works

_PIECE_CLUSTERS = 1024
_PIECE_TOKENS = 4096
_CHUNK = 32
_STEPS = 32
_BINS = 40 * _STEPS
_HISTOGRAM = "shares"


@dataclass(frozen=True, slots=True)
class ShareThreshold:
    """For every query head the keys of all clusters whose share of attention reaches a threshold.

    A cluster's share is what one key at its centroid would receive if every stored key were at its own; of the queries
    of a chunk it is the mean. The threshold is one for all layers and heads, so that some keep more than others: with
    it the last queries of what was read, as many as the index remembers, keep a part 1 - `sparsity` of all keys.
    """

    sparsity: float = 0.7
    when: When = "answering"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Nothing here depends on the window."""
        return self

    def cadence(self, answering: bool) -> int | None:
        """Few queries share a choice; the paper's have one each."""
        return _CHUNK if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The keys that are kept, some stretches at a time."""
        if not search.answering or _HISTOGRAM not in search.carried:
            search.carried[_HISTOGRAM] = histogram(Shares(search, _observed(search)).weighed())
        if not works(self.when, search.answering):
            return
        counts = [carried[_HISTOGRAM] for carried in search.peers if _HISTOGRAM in carried]
        least = threshold(torch.stack(counts).sum(0), 1 - self.sparsity)
        for rows, share_HnK in Shares(search, search.q_HTD).pieces():
            fetched = _kept(search, rows, share_HnK >= least)
            if fetched is not None:
                yield fetched


def _observed(search: Search) -> Tensor:
    """The last queries `[H, T, D]`, those of the chunk among them, all turned as its last one."""
    noted_GORD = search.notes[OBSERVED]
    noted_GORD = noted_GORD[:, noted_GORD[0].flatten(1).any(1)]
    before_HOD = search.queries.turned_like_last(noted_GORD.transpose(1, 2).flatten(0, 1))
    return torch.cat((before_HOD, search.q_HTD), dim=1)[:, -search.notes[OBSERVED].shape[1] :]


class Shares:
    """What a key of every cluster would receive of the attention of some queries, on the mean."""

    def __init__(self, search: Search, q_HTD: Tensor) -> None:
        assert search.index is not None
        self._index = search.index
        self._scoring = search.scoring
        self._shape = q_HTD.shape[:2]
        self._q_GMD = q_HTD.float().reshape(search.kv_heads, -1, q_HTD.shape[-1])
        self._total_GM1 = self._q_GMD.new_full((*self._q_GMD.shape[:2], 1), float("-inf"))
        for rows in self._centroids():
            logits_GMC = self._logits(rows) + rows[MEMBERS].flatten(1).unsqueeze(1).log()
            self._total_GM1 = torch.logaddexp(self._total_GM1, logits_GMC.logsumexp(-1, keepdim=True))

    def pieces(self) -> Iterator[tuple[Rows, Tensor]]:
        """Stretches, all that is known of them, and the shares of their clusters `[H, n, K]`."""
        names = tuple(column.name for column in self._index.columns)
        for _, rows in self._index.scan(names, max(1, _PIECE_TOKENS // self._length(CLUSTER))):
            yield rows, self._of(rows)

    def weighed(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The shares of all clusters `[H, n, K]`, and how many keys each stands for."""
        for rows in self._centroids():
            share_HnK = self._of(rows)
            yield share_HnK, _by_query_head(rows[MEMBERS], share_HnK.shape[0])

    def _centroids(self) -> Iterator[Rows]:
        limit = max(1, _PIECE_CLUSTERS // self._length(MEMBERS))
        return (rows for _, rows in self._index.scan((CENTROID, MEMBERS), limit))

    def _length(self, name: str) -> int:
        return next(column.shape[0] for column in self._index.columns if column.name == name)

    def _logits(self, rows: Rows) -> Tensor:
        return self._scoring.logits(self._q_GMD, rows[CENTROID].flatten(1, 2))

    def _of(self, rows: Rows) -> Tensor:
        share_GMC = torch.exp(self._logits(rows) - self._total_GM1)
        share_HC = share_GMC.view(*self._shape, -1).mean(1)
        return share_HC.view(-1, *rows[MEMBERS].shape[1:])


def histogram(weighed: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """How many keys have which share, in bins of a 32nd of an octave, the least shares first."""
    count = torch.zeros(_BINS, dtype=torch.float64)
    for share, keys in weighed:
        bins = (share.log2() * _STEPS).floor().clamp(-_BINS, -1).long() + _BINS
        count.index_add_(0, bins.flatten().cpu(), keys.flatten().double().cpu())
    return count


def threshold(count: Tensor, part: float) -> float:
    """The largest share at which a bin begins that this part of the keys reach; 0 for all of them."""
    above = count.flip(0).cumsum(0)
    at = _BINS - 1 - int((above < part * above[-1]).sum())
    return 2.0 ** ((at - _BINS) / _STEPS) if at > 0 else 0.0


def _kept(search: Search, rows: Rows, keep_HnK: Tensor) -> Fetched | None:
    """The tokens of these clusters; None where there are none."""
    heads = keep_HnK.shape[0]
    cluster_HnB = _by_query_head(rows[CLUSTER].long(), heads)
    token_nB = rows["start"][0].unsqueeze(-1) + torch.arange(cluster_HnB.shape[-1], device=cluster_HnB.device)
    meets_HS = (keep_HnK.gather(2, cluster_HnB) & (token_nB >= search.arena.first)).flatten(1)
    if not meets_HS.any():
        return None
    token_HS = token_nB.clamp(min=search.arena.first).flatten().expand(heads, -1)
    row_HX, skip_H, _ = in_text_order(token_HS, meets_HS)
    fetched = fetch(search, row_HX, heads_of(search, per_token=False), per_head=True, per_token=False)
    return fetched._replace(skip_N=skip_H)


def _by_query_head(x_G: Tensor, heads: int) -> Tensor:
    return x_G.repeat_interleave(heads // x_G.shape[0], dim=0)
