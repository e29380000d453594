"""Keys that point the same way are represented by one centroid (Squeezed Attention, arXiv 2411.09688, section 3).

Shapes: H query heads, G KV heads, N stretches of the text, B tokens in a stretch, K clusters in a stretch, C clusters
of clusters, T tokens of a chunk, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.facts import LayerFacts
from farspan.cache.columns import BlockShape, Column, Rows
from farspan.errors import MethodError
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.notes import NewBlocks, Notes, last_queries, newest
from farspan.methods.parts.segment.stretches import stretch

_GOLDEN = (5**0.5 - 1) / 2
CENTROID, MEMBERS, CLUSTER = "centroid", "members", "cluster"
COARSE_CENTROID, COARSE_MEMBERS, PARENT = "coarse_centroid", "coarse_members", "parent"
OBSERVED = "observed"
_PIECE_PRODUCTS = 1 << 20
_MOST_CLUSTERS = torch.iinfo(torch.int16).max


@dataclass(frozen=True, slots=True)
class KeyClusters:
    """The un-rotated keys of every stretch and KV head in clusters, as many as a `share` of its tokens.

    A stretch has `tokens` tokens, as the segment cuts it. Clusters are found by k-means++ of directions, whose
    draws are fixed numbers; it ends after `rounds` or when nothing changes. A centroid is the mean of its keys.
    With a `coarse_share` of the tokens the centroids are in so many clusters again, whose centroids are their means.
    The last `observed` queries are remembered, for whoever wants to know how much a text's end looks at.
    """

    tokens: int | None = None
    share: float = 0.05
    rounds: int = 30
    observed: int = 100
    coarse_share: float = 0.0
    needs_mass: bool = False
    needs_queries: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the length of a stretch for a model trained on `window` tokens. Raises MethodError for too many
        clusters.
        """
        own = replace(self, tokens=stretch(self.tokens, window))
        if own.clusters > _MOST_CLUSTERS:
            raise MethodError(
                f"a share of {self.share:g} makes {own.clusters:,} clusters of {own.tokens:,} tokens, and "
                f"{_MOST_CLUSTERS:,} are the most",
                fix="give a smaller share (clusters), or a shorter segment",
            )
        return own

    @property
    def clusters(self) -> int:
        """How many clusters a stretch has."""
        assert self.tokens is not None
        return max(1, int(self.share * self.tokens))

    @property
    def coarse_clusters(self) -> int:
        """How many clusters of clusters a stretch has; 0: they are not clustered again."""
        assert self.tokens is not None
        return min(self.clusters, max(1, int(self.coarse_share * self.tokens))) if self.coarse_share else 0

    def notes(self, shape: BlockShape) -> tuple[Column, ...]:
        """The last queries, un-rotated; zeros where there are not so many yet."""
        return (last_queries(OBSERVED, self.observed, shape),)

    def after_queries(self, notes: Notes, q_HTD: Tensor) -> Notes:
        """The newest take the place of the oldest."""
        return {OBSERVED: newest(notes[OBSERVED], q_HTD)}

    def before_blocks(self, notes: Notes, new: NewBlocks) -> Notes:
        """Keys are not remembered."""
        return {}

    def columns(self, facts: LayerFacts) -> tuple[Column, ...]:
        """Centroids, how many keys each stands for, and the cluster of every token; the same one level up."""
        assert self.tokens is not None
        fine = (
            Column(CENTROID, facts.kv_heads, (self.clusters, facts.key_dim), torch.float32),
            Column(MEMBERS, facts.kv_heads, (self.clusters,), torch.int32),
            Column(CLUSTER, facts.kv_heads, (self.tokens,), torch.int16),
        )
        coarse = (
            Column(COARSE_CENTROID, facts.kv_heads, (self.coarse_clusters, facts.key_dim), torch.float32),
            Column(COARSE_MEMBERS, facts.kv_heads, (self.coarse_clusters,), torch.int32),
            Column(PARENT, facts.kv_heads, (self.clusters,), torch.int16),
        )
        return (*fine, *coarse) if self.coarse_share else fine

    def rows(self, blocks: BlockTokens) -> Rows:
        """Cluster every stretch by itself, one after the other, as many may come at once."""
        parts = [self._rows(k_GnBD.float()) for k_GnBD in blocks.k_GNBD.split(1, dim=1)]
        return {name: torch.cat([part[name] for part in parts], 1) for name in parts[0]}

    def _rows(self, k_GNBD: Tensor) -> Rows:
        cluster_GNB = clustered(k_GNBD, self.clusters, self.rounds)
        centroid_GNKD, members_GNK = _means(k_GNBD, cluster_GNB, self.clusters)
        rows = {CENTROID: centroid_GNKD, MEMBERS: members_GNK.int(), CLUSTER: cluster_GNB.short()}
        if not self.coarse_share:
            return rows
        parent_GNK = clustered(centroid_GNKD, self.coarse_clusters, self.rounds)
        coarse_GNCD, _ = _means(centroid_GNKD, parent_GNK, self.coarse_clusters)
        keys_GNC = members_GNK.new_zeros(coarse_GNCD.shape[:3]).scatter_add_(2, parent_GNK, members_GNK)
        return {**rows, COARSE_CENTROID: coarse_GNCD, COARSE_MEMBERS: keys_GNC.int(), PARENT: parent_GNK.short()}


def clustered(k_GNBD: Tensor, clusters: int, rounds: int) -> Tensor:
    """The cluster of every key: `[G, N, B]`. One that loses all its keys stays where it was."""
    unit_GNBD = torch.nn.functional.normalize(k_GNBD, dim=-1)
    centre_GNKD = _first_centres(unit_GNBD, clusters)
    cluster_GNB = _nearest(unit_GNBD, centre_GNKD)
    for _ in range(rounds):
        total_GNKD, members_GNK = _sums(unit_GNBD, cluster_GNB, clusters)
        moved_GNKD = torch.nn.functional.normalize(total_GNKD, dim=-1)
        centre_GNKD = torch.where(members_GNK.unsqueeze(-1) > 0, moved_GNKD, centre_GNKD)
        before_GNB, cluster_GNB = cluster_GNB, _nearest(unit_GNBD, centre_GNKD)
        if torch.equal(before_GNB, cluster_GNB):
            break
    return cluster_GNB


def _first_centres(unit_GNBD: Tensor, clusters: int) -> Tensor:
    """Keys, each drawn with odds that are its distance from those before it; the draws are the same every time."""
    distance_GNB = torch.ones_like(unit_GNBD[..., 0])
    centres: list[Tensor] = []
    for number in range(1, clusters + 1):
        upto_GNB = distance_GNB.cumsum(-1)
        drawn_GN1 = number * _GOLDEN % 1 * upto_GNB[..., -1:]
        at_GN1 = (upto_GNB <= drawn_GN1).sum(-1, keepdim=True).clamp(max=unit_GNBD.shape[2] - 1)
        centre_GN1D = unit_GNBD.gather(2, at_GN1.unsqueeze(-1).expand(-1, -1, -1, unit_GNBD.shape[-1]))
        distance_GNB = torch.minimum(distance_GNB, 1 - (unit_GNBD * centre_GN1D).sum(-1)).clamp(min=0)
        centres.append(centre_GN1D)
    return torch.cat(centres, 2)


def _nearest(unit_GNBD: Tensor, centre_GNKD: Tensor) -> Tensor:
    pieces = unit_GNBD.split(max(1, _PIECE_PRODUCTS // centre_GNKD.shape[2]), dim=2)
    return torch.cat([torch.matmul(piece, centre_GNKD.transpose(-1, -2)).argmax(-1) for piece in pieces], 2)


def _means(x_GNBD: Tensor, cluster_GNB: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """The means of the clusters' members `[G, N, K, D]`, zero where there are none, and their numbers `[G, N, K]`."""
    total_GNKD, members_GNK = _sums(x_GNBD, cluster_GNB, clusters)
    return total_GNKD / members_GNK.clamp(min=1).unsqueeze(-1), members_GNK


def _sums(x_GNBD: Tensor, cluster_GNB: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """The sums of the clusters' members `[G, N, K, D]`, and their numbers `[G, N, K]`."""
    total_GNKD = x_GNBD.new_zeros((*x_GNBD.shape[:2], clusters, x_GNBD.shape[-1]))
    total_GNKD.scatter_add_(2, cluster_GNB.unsqueeze(-1).expand_as(x_GNBD), x_GNBD)
    members_GNK = cluster_GNB.new_zeros(total_GNKD.shape[:3])
    return total_GNKD, members_GNK.scatter_add_(2, cluster_GNB, torch.ones_like(cluster_GNB))
