"""Attention to the keys in a query's bucket and a sample of the others (HyperAttention, arXiv 2310.05869, section 3).

Shapes: N searches, M query rows of a search, S keys, B keys in a block, P projections, C keys in a sample, D key width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.kernels import partial_attention
from farspan.attention.softmax import Partial, merge
from farspan.methods.parts.combine.axis import Met, Moment
from farspan.methods.parts.window_share import window_share

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class BucketsAndSample:
    """While reading, stored keys are sorted by angle and cut into blocks of `block`; a query meets one block, and
    `sample` keys that stand for all the others.

    Queries and keys fall into one bucket where they lie on the same side of `projections` random planes; buckets are
    sorted so that neighbours differ by one plane. None for `block` and `sample` is a 16th of the window, 256 at most.
    """

    projections: int = 7
    block: int | None = None
    sample: int | None = None
    exact: bool = False
    steering: None = None

    def resolve(self, window: int) -> Self:
        """Choose the lengths for a model trained on `window` tokens."""
        share = window_share(window, 16, 256)
        return replace(self, block=self.block or share, sample=self.sample or share)

    def plain(self, answering: bool) -> bool:
        """For an answer."""
        return answering

    def attend(self, met: Met) -> tuple[Partial, Tensor | None]:
        """Exact for an answer, for keys that are not stored, and where there is nothing to save."""
        assert self.block is not None and self.sample is not None
        if met.answering or not met.stored or met.runs.keys <= self.block + self.sample:
            return met.attend()
        assert not met.observed, "only answers and recent tokens are observed"
        plane_DP = _planes(met.q_NMD.shape[-1], self.projections, met.moment.layer).to(met.q_NMD.device)
        bucket_NS = gray_rank(met.runs.k_NKD, plane_DP)
        order_NS = bucket_NS.argsort(dim=1, stable=True)
        k_NSD, v_NSE = _picked(met.runs.k_NKD, order_NS), _picked(met.runs.v_NKE, order_NS)
        block_NM = _places(gray_rank(met.q_NMD, plane_DP), bucket_NS.gather(1, order_NS), met.moment) // self.block
        inside = _inside(met, k_NSD, v_NSE, block_NM, self.block)
        return merge([inside, self._outside(met, k_NSD, v_NSE, block_NM)]), None

    def _outside(self, met: Met, k_NSD: Tensor, v_NSE: Tensor, block_NM: Tensor) -> Partial:
        """A sample of all keys, each counted for as many as it stands for; those in a query's own block are hidden."""
        assert self.block is not None and self.sample is not None
        searches, keys, _ = k_NSD.shape
        draw = _generator(met.moment)
        drawn_NC = torch.randint(keys, (searches, self.sample), generator=draw, device="cpu").to(k_NSD.device)
        mask_NMC = block_NM.unsqueeze(2) != (drawn_NC // self.block).unsqueeze(1)
        sampled = partial_attention(
            met.q_NMD, _picked(k_NSD, drawn_NC), _picked(v_NSE, drawn_NC), met.scoring, mask_NMC
        )
        return sampled._replace(lse_NM=sampled.lse_NM + math.log(keys / self.sample))


def gray_rank(x_NSD: Tensor, plane_DP: Tensor) -> Tensor:
    """The rank `[N, S]` of each vector's bucket in the order of the Gray code, in which neighbours differ by one bit.

    The code is read from its highest bit: a bit of the rank is the parity of the bits from there up.
    """
    side_NSP = torch.matmul(x_NSD.float(), plane_DP) > 0
    parity_NSP = side_NSP.flip(-1).int().cumsum(-1).flip(-1) % 2
    return (parity_NSP.long() << torch.arange(plane_DP.shape[1], device=x_NSD.device)).sum(-1)


def _inside(met: Met, k_NSD: Tensor, v_NSE: Tensor, block_NM: Tensor, block: int) -> Partial:
    """Attention of every query to its block of the sorted keys."""
    searches, keys, _ = k_NSD.shape
    out_NME = met.q_NMD.new_empty((*block_NM.shape, v_NSE.shape[-1]), dtype=torch.float32)
    lse_NM = out_NME.new_empty(block_NM.shape)
    for n in range(searches):
        counts = torch.bincount(block_NM[n], minlength=-(-keys // block)).tolist()
        for number, rows in enumerate(block_NM[n].argsort(stable=True).split(counts)):
            if len(rows):
                here = slice(number * block, (number + 1) * block)
                part = partial_attention(
                    met.q_NMD[n : n + 1, rows], k_NSD[n, None, here], v_NSE[n, None, here], met.scoring
                )
                out_NME[n, rows], lse_NM[n, rows] = part.out_NME[0], part.lse_NM[0]
    return Partial(out_NME, lse_NM)


def _places(bucket_NM: Tensor, sorted_NS: Tensor, moment: Moment) -> Tensor:
    """Where among the sorted keys a query belongs: `[N, M]`.

    The queries of a bucket are spread evenly over its keys, by their numbers alone so that none hangs on a later one.
    """
    first_NM = torch.searchsorted(sorted_NS, bucket_NM)
    end_NM = torch.searchsorted(sorted_NS, bucket_NM, right=True)
    number_M = torch.arange(moment.position, moment.position + bucket_NM.shape[1], dtype=torch.float64, device="cpu")
    share_M = (number_M * _GOLDEN % 1).to(bucket_NM.device)
    return (first_NM + (share_M * (end_NM - first_NM)).long()).clamp(max=sorted_NS.shape[1] - 1)


def _planes(width: int, projections: int, layer: int) -> Tensor:
    """The same ones whenever a layer is asked."""
    draw = torch.Generator().manual_seed(layer)
    return torch.randn((width, projections), generator=draw, dtype=torch.float32, device="cpu")


def _generator(moment: Moment) -> torch.Generator:
    """Draws anew for every chunk, layer and piece, and the same after a restart."""
    seed = (moment.position * 1_000_003 + moment.layer) * 1_000_003 + moment.number
    return torch.Generator().manual_seed(seed % 2**63)


def _picked(x_NSD: Tensor, index_NC: Tensor) -> Tensor:
    return x_NSD.gather(1, index_NC.unsqueeze(2).expand(-1, -1, x_NSD.shape[2]))
