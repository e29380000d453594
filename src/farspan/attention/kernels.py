"""Attention over one segment of keys, and the merge of segments: the one file that chooses kernels.

Every segment is computed apart, with its own rotation of queries and keys, and gives its output and the log-sum-exp of
its logits; `merge` joins them into what one softmax over all of them would have given.

Shapes: N independent problems (a KV head, or a head and token), M query rows, S keys, D key width, E value width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.flash import flash_parts
from farspan.attention.shifted import has_products, shifted
from farspan.attention.visible import Visible

_MANY_ROWS = 64
_SHIFTED_MIN_LOGITS = 1 << 16
_FLASH_MIN_KEYS = 256


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a model turns a dot product into a logit: `logit = softcap * tanh(scale * dot / softcap)`."""

    scale: float
    softcap: float | None = None

    def logits(
        self, q_NMD: Tensor, k_NSD: Tensor, mask_MS: Tensor | None = None, bias_NMS: Tensor | None = None
    ) -> Tensor:
        """Logits `[N, M, S]` in float32, plus a bias; pairs where the boolean mask is False are -inf."""
        logits_NMS = torch.matmul(q_NMD, k_NSD.transpose(-1, -2)).float().mul_(self.scale)
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


def partial_attention(
    q_NMD: Tensor,
    k_NSD: Tensor,
    v_NSE: Tensor,
    scoring: Scoring,
    mask_MS: Tensor | Visible | None = None,
    bias_NMS: Tensor | None = None,
) -> Partial:
    """Softmax attention over one segment. `mask_MS` is True where row M may see key S; it may lead with N.

    Where a token sees a range of keys, a Visible says so faster: what is hidden is then not computed. `bias_NMS`, or
    anything that broadcasts to it, is added to the logits: the logarithm of how often a key counts.
    """
    if k_NSD.shape[-2] == 0 or q_NMD.shape[-2] == 0:
        shape = q_NMD.shape[:-1]
        out_NME = q_NMD.new_zeros((*shape, v_NSE.shape[-1]), dtype=torch.float32)
        return Partial(out_NME, out_NME.new_full(shape, float("-inf")))
    plain = q_NMD.device.type == "cpu" and q_NMD.dim() == 3 and scoring.softcap is None and bias_NMS is None
    if not plain or isinstance(mask_MS, Tensor):
        return weighted_attention(q_NMD, k_NSD, v_NSE, scoring, mask_MS, bias_NMS)[0]
    rows, keys = q_NMD.shape[1], k_NSD.shape[1]
    visible = mask_MS or Visible.everything(rows, keys)
    fast_products = q_NMD.dtype == torch.bfloat16 and rows >= _MANY_ROWS and has_products()
    if fast_products and rows * keys >= _SHIFTED_MIN_LOGITS:
        return Partial(*shifted(q_NMD, k_NSD, v_NSE, scoring.scale, visible))
    if k_NSD.shape[2] != v_NSE.shape[2] or (fast_products and keys < _FLASH_MIN_KEYS):
        return weighted_attention(q_NMD, k_NSD, v_NSE, scoring, visible)[0]
    return merge([Partial(*part) for part in flash_parts(q_NMD, k_NSD, v_NSE, scoring.scale, visible)])


def merge(partials: list[Partial], sink_NM: Tensor | None = None) -> Partial:
    """Join segments into one softmax over all their keys; `sink_NM` is an extra logit that has no value (GPT-OSS)."""
    lse_PNM = torch.stack([part.lse_NM for part in partials])
    lse_NM = lse_PNM.logsumexp(0)
    if sink_NM is not None:
        lse_NM = torch.logaddexp(lse_NM, sink_NM.float())
    if len(partials) == 1 and sink_NM is None:
        return partials[0]
    share_PNM = torch.exp(lse_PNM - lse_NM).nan_to_num_(0.0)
    out_NME = sum(part.out_NME * share.unsqueeze(-1) for part, share in zip(partials, share_PNM, strict=True))
    assert isinstance(out_NME, Tensor)
    return Partial(out_NME, lse_NM)


def weighted_attention(
    q_NMD: Tensor,
    k_NSD: Tensor,
    v_NSE: Tensor,
    scoring: Scoring,
    mask_MS: Tensor | Visible | None = None,
    bias_NMS: Tensor | None = None,
) -> tuple[Partial, Tensor]:
    """Like `partial_attention`, with the softmax weights `[N, M, S]` within the segment, for who needs to see them."""
    if isinstance(mask_MS, Visible):
        hides = mask_MS.hides(k_NSD.shape[-2])
        mask_MS = mask_MS.mask(q_NMD.shape[-2], k_NSD.shape[-2], q_NMD.device) if hides else None
    logits_NMS = scoring.logits(q_NMD, k_NSD, mask_MS, bias_NMS)
    top_NM1 = logits_NMS.amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).min)
    weights_NMS = logits_NMS.sub_(top_NM1).exp_()
    total_NM1 = weights_NMS.sum(-1, keepdim=True)
    weights_NMS.div_(total_NM1.clamp_min(torch.finfo(torch.float32).tiny))
    lse_NM = (top_NM1 + total_NM1.log()).squeeze(-1)
    return Partial(torch.matmul(weights_NMS.to(v_NSE.dtype), v_NSE).float(), lse_NM), weights_NMS
