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
from farspan.methods.parts.index.key_clusters import CLUSTER, OBSERVED
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.cluster_shares import COARSE, FINE, Gate, Level, Shares, by_query_head
from farspan.methods.parts.select.ranking import When, fetch, heads_of, in_text_order, works

_CHUNK = 32
_STEPS = 32
_BINS = 40 * _STEPS
_HISTOGRAMS = {FINE: "shares", COARSE: "coarse_shares"}
_COUNTED = "stretches"
_GROWN = 9 / 8


@dataclass(frozen=True, slots=True)
class ShareThreshold:
    """For every query head the keys of all clusters whose share of attention reaches a threshold.

    A cluster's share is what one key at its centroid would receive if every stored key were at its own; of the queries
    of a chunk it is the mean. The threshold is one for all layers and heads, so that some keep more than others: with
    it the last queries of what was read, as many as the index remembers, keep a part 1 - `sparsity` of all keys.
    With `coarse_sparsity` the clusters of clusters are looked at first, with a threshold of their own, and only the
    clusters in those that reach it are compared. It is found anew with every chunk that is read, and once there is an
    eighth more: the more is stored, the less each key receives.
    """

    sparsity: float = 0.7
    coarse_sparsity: float | None = None
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
        levels = (FINE,) if self.coarse_sparsity is None else (FINE, COARSE)
        if not search.answering or _has_grown(search):
            observed_HTD = _observed(search)
            search.carried[_COUNTED] = _stored(search)
            for level in levels:
                search.carried[_HISTOGRAMS[level]] = histogram(Shares(search, observed_HTD, level).weighed())
        if not works(self.when, search.answering):
            return
        gate = None
        if self.coarse_sparsity is not None:
            coarse = Shares(search, search.q_HTD, COARSE)
            gate = Gate(coarse, _least(search, COARSE, self.coarse_sparsity))
        least = _least(search, FINE, self.sparsity)
        for rows, share_HnK in Shares(search, search.q_HTD, gate=gate).pieces():
            yield from _kept(search, rows, share_HnK >= least)


def _has_grown(search: Search) -> bool:
    """Whether so much has been stored since the shares were counted that every key's is notably less."""
    counted = search.carried.get(_COUNTED)
    return counted is None or bool(_stored(search) > _GROWN * counted)


def _stored(search: Search) -> Tensor:
    assert search.index is not None
    return torch.tensor(search.index.length - search.index.first, device="cpu")


def _least(search: Search, level: Level, sparsity: float) -> float:
    """The share from which on a level's clusters are kept, by the last queries of all layers."""
    name = _HISTOGRAMS[level]
    counts = [carried[name] for carried in search.peers if name in carried]
    return threshold(torch.stack(counts).sum(0), 1 - sparsity)


def _observed(search: Search) -> Tensor:
    """The last queries `[H, T, D]`, those of the chunk among them, all turned as its last one."""
    noted_HOD = search.notes[OBSERVED]
    before_HOD = search.queries.seeking_like_last(noted_HOD[:, noted_HOD.any(-1).any(0)])
    return torch.cat((before_HOD, search.q_HTD), dim=1)[:, -noted_HOD.shape[1] :]


def histogram(weighed: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """How many keys have which share, in bins of a 32nd of an octave, the least shares first."""
    count = torch.zeros(_BINS, dtype=torch.float64, device="cpu")
    for share, keys in weighed:
        bins = (share.log2() * _STEPS).floor().clamp(-_BINS, -1).long() + _BINS
        count.index_add_(0, bins.flatten().cpu(), keys.flatten().double().cpu())
    return count


def threshold(count: Tensor, part: float) -> float:
    """The largest share at which a bin begins that this part of the keys reach; 0 where that is all of them."""
    if part >= 1:
        return 0.0
    above = count.flip(0).cumsum(0)
    at = _BINS - 1 - int((above < part * above[-1]).sum())
    return 2.0 ** ((at - _BINS) / _STEPS) if at > 0 else 0.0


def _kept(search: Search, rows: Rows, keep_HnK: Tensor) -> Iterator[Fetched]:
    """The tokens of these clusters, if there are any."""
    heads = keep_HnK.shape[0]
    cluster_HnB = by_query_head(rows[CLUSTER].long(), heads)
    token_nB = rows["start"][0].unsqueeze(-1) + torch.arange(cluster_HnB.shape[-1], device=cluster_HnB.device)
    meets_HS = (keep_HnK.gather(2, cluster_HnB) & (token_nB >= search.arena.first)).flatten(1)
    if not meets_HS.any():
        return
    token_HS = token_nB.clamp(min=search.arena.first).flatten().expand(heads, -1)
    row_HX, skip_H, _ = in_text_order(token_HS, meets_HS)
    heads_H = heads_of(search, per_token=False)
    yield from fetch(search, row_HX, heads_H, per_head=True, per_token=False, skip_N=skip_H)
