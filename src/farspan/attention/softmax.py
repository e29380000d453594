"""Softmax attention in plain torch: logits, the attention to one segment of keys, and how segments are joined.

Shapes: N independent problems (a KV head, or a head and token), M query rows, S keys, D key width, E value width, P
segments; K is S where it is counted what keys receive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.processor import matmul
from farspan.attention.visible import Visible


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a model turns a dot product into a logit: `logit = softcap * tanh(scale * dot / softcap)`."""

    scale: float
    softcap: float | None = None

    def logits(
        self, q_NMD: Tensor, k_NSD: Tensor, mask_MS: Tensor | None = None, bias_NMS: Tensor | None = None
    ) -> Tensor:
        """Logits `[N, M, S]` in float32, plus a bias; pairs where the boolean mask is False are -inf."""
        logits_NMS = matmul(q_NMD, k_NSD.transpose(-1, -2)).float().mul_(self.scale)
        if self.softcap is not None:
            logits_NMS = logits_NMS.div_(self.softcap).tanh_().mul_(self.softcap)
        if bias_NMS is not None:
            logits_NMS = logits_NMS.add_(bias_NMS)
        if mask_MS is not None:
            logits_NMS = logits_NMS.masked_fill_(~mask_MS, float("-inf"))
        return logits_NMS


class Partial(NamedTuple):
    """Attention over one segment: the normalised output in float32 and the log-sum-exp of its logits.

    A row that may see no key of the segment has output 0 and log-sum-exp -inf.
    """

    out_NME: Tensor
    lse_NM: Tensor


def merge(partials: list[Partial], sink_NM: Tensor | None = None) -> Partial:
    """Join segments into one softmax over all their keys; `sink_NM` is an extra logit that has no value (GPT-OSS)."""
    if len(partials) == 1 and sink_NM is None:
        return partials[0]
    lse_PNM = torch.stack([part.lse_NM for part in partials])
    lse_NM = lse_PNM.logsumexp(0)
    if sink_NM is not None:
        lse_NM = torch.logaddexp(lse_NM, sink_NM.float())
    share_PNM = torch.exp(lse_PNM - lse_NM).nan_to_num_(0.0)
    out_NME = sum(part.out_NME * share.unsqueeze(-1) for part, share in zip(partials, share_PNM, strict=True))
    assert isinstance(out_NME, Tensor)
    return Partial(out_NME, lse_NM)


def observed_attention(
    q_NMD: Tensor,
    k_NSD: Tensor,
    v_NSE: Tensor,
    scoring: Scoring,
    mask_MS: Tensor | Visible | None = None,
    bias_NMS: Tensor | None = None,
) -> tuple[Partial, Tensor]:
    """Like `partial_attention`, with the logits `[N, M, S]`, for who needs to see them."""
    logits_NMS = scoring.logits(q_NMD, k_NSD, seen_mask(q_NMD, k_NSD, mask_MS), bias_NMS)
    top_NM1 = logits_NMS.amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).min)
    weights_NMS = (logits_NMS - top_NM1).exp_()
    total_NM1 = weights_NMS.sum(-1, keepdim=True)
    weights_NMS.div_(total_NM1.clamp_min(torch.finfo(torch.float32).tiny))
    lse_NM = (top_NM1 + total_NM1.log()).squeeze(-1)
    return Partial(matmul(weights_NMS.to(v_NSE.dtype), v_NSE).float(), lse_NM), logits_NMS


def seen_mask(q_NMD: Tensor, k_NSD: Tensor, sight: Tensor | Visible | None) -> Tensor | None:
    """Which row sees which key, as a mask; None where all see all."""
    if not isinstance(sight, Visible):
        return sight
    rows, keys = q_NMD.shape[-2], k_NSD.shape[-2]
    return sight.mask(rows, keys, q_NMD.device) if sight.hides(keys) else None


def received(logits_NMK: Tensor, lse_NM: Tensor) -> Tensor:
    """How much attention each key receives, `[N, K]`, by its logits and the log-sum-exp of all logits of each row."""
    return torch.exp(logits_NMK - lse_NM.unsqueeze(-1)).sum(1)
