"""Attention over one segment of keys, and the merge of segments: the one file that chooses kernels.

Every segment is computed apart, with its own rotation of queries and keys, and gives its output and the log-sum-exp of
its logits; `merge` joins them into what one softmax over all of them would have given.

Shapes: N independent problems (a KV head, or a head and token), M query rows, S keys, D key width, E value width; K is
S where the keys are runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from farspan import env
from farspan.attention.native import call, library
from farspan.attention.runs import Runs
from farspan.errors import FarspanError

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_FLASH_MIN_KEYS = 256
NATIVE_MOST_ROWS = 128


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
    mask_MS: Tensor | None = None,
    bias_NMS: Tensor | None = None,
) -> Partial:
    """Softmax attention over one segment. `mask_MS` is True where row M may see key S; it may lead with N.

    `bias_NMS`, or anything that broadcasts to it, is added to the logits: the logarithm of how often a key counts.
    """
    if k_NSD.shape[-2] == 0 or q_NMD.shape[-2] == 0:
        shape = q_NMD.shape[:-1]
        out_NME = q_NMD.new_zeros((*shape, v_NSE.shape[-1]), dtype=torch.float32)
        return Partial(out_NME, out_NME.new_full(shape, float("-inf")))
    if bias_NMS is None and _flash_fits(q_NMD, k_NSD, v_NSE, scoring, mask_MS):
        return _flash(q_NMD, k_NSD, v_NSE, scoring, mask_MS)
    return weighted_attention(q_NMD, k_NSD, v_NSE, scoring, mask_MS, bias_NMS)[0]


def attend_runs(q_NMD: Tensor, runs: Runs, scoring: Scoring, logits: bool = False) -> tuple[Partial, Tensor | None]:
    """Attention to runs of keys where they lie, by queries that have been turned to their own positions.

    With `logits`, also the logits `[N, M, K]` in float32, -inf where a key is not seen.
    """
    kernel = _native(q_NMD, runs)
    if kernel is None:
        return _gathered(q_NMD, runs, scoring, logits)
    out_NME, lse_NM, logits_NMK = call.attend(kernel, q_NMD, runs, scoring.scale, scoring.softcap, logits)
    return Partial(out_NME, lse_NM), logits_NMK


def native_kernel() -> library.Kernel | str:
    """The compiled kernel, or why torch computes what it would."""
    return "FARSPAN_KERNELS is torch" if env.kernels() == "torch" else library.load()


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
    mask_MS: Tensor | None = None,
    bias_NMS: Tensor | None = None,
) -> tuple[Partial, Tensor]:
    """Like `partial_attention`, with the softmax weights `[N, M, S]` within the segment, for who needs to see them."""
    return _softmax(scoring.logits(q_NMD, k_NSD, mask_MS, bias_NMS), v_NSE)


def _softmax(logits_NMS: Tensor, v_NSE: Tensor) -> tuple[Partial, Tensor]:
    """Attention by logits, whose memory the weights take."""
    top_NM1 = logits_NMS.amax(-1, keepdim=True).clamp_min(torch.finfo(torch.float32).min)
    weights_NMS = logits_NMS.sub_(top_NM1).exp_()
    total_NM1 = weights_NMS.sum(-1, keepdim=True)
    weights_NMS.div_(total_NM1.clamp_min(torch.finfo(torch.float32).tiny))
    lse_NM = (top_NM1 + total_NM1.log()).squeeze(-1)
    return Partial(torch.matmul(weights_NMS.to(v_NSE.dtype), v_NSE).float(), lse_NM), weights_NMS


def _native(q_NMD: Tensor, runs: Runs) -> library.Kernel | None:
    """The compiled kernel, where it can read these tensors and is faster than torch with copies."""
    wanted = env.kernels()
    if wanted == "torch" or not runs.keys or not q_NMD.numel() or not call.fits(q_NMD, runs):
        return None
    if wanted == "auto" and q_NMD.shape[1] > NATIVE_MOST_ROWS:
        return None
    kernel = library.load()
    if not isinstance(kernel, str):
        return kernel
    if wanted == "native":
        raise FarspanError(f"the native kernel cannot be had: {kernel}", fix="unset FARSPAN_KERNELS")
    return None


def _gathered(q_NMD: Tensor, runs: Runs, scoring: Scoring, logits: bool) -> tuple[Partial, Tensor | None]:
    logits_NMK = scoring.logits(q_NMD, runs.k_NKD, runs.mask_NMK) if logits else None
    if logits_NMK is None or not runs.keys:
        return partial_attention(q_NMD, runs.k_NKD, runs.v_NKE, scoring, runs.mask_NMK), logits_NMK
    return _softmax(logits_NMK.clone(), runs.v_NKE)[0], logits_NMK


def _flash_fits(q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, mask: Tensor | None) -> bool:
    return (
        q.device.type == "cpu"
        and q.dim() == 3
        and scoring.softcap is None
        and k.shape[-1] == v.shape[-1]
        and k.shape[-2] >= _FLASH_MIN_KEYS
        and (mask is None or mask.dim() == 2)
    )


def _flash(q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor, scoring: Scoring, mask_MS: Tensor | None) -> Partial:
    bias = None
    if mask_MS is not None:
        bias = torch.zeros(mask_MS.shape, dtype=q_NMD.dtype).masked_fill_(~mask_MS, float("-inf"))[None, None]
    out, lse = _FLASH(q_NMD[None], k_NSD[None], v_NSE[None], 0.0, False, attn_mask=bias, scale=scoring.scale)
    out_NME, lse_NM = out[0].float(), lse[0].float()
    if mask_MS is not None:
        # a row without a visible key comes back as lse 0, which would corrupt a merge
        blind_M = ~mask_MS.any(-1)
        lse_NM = lse_NM.masked_fill(blind_M, float("-inf"))
        out_NME = out_NME.masked_fill(blind_M.unsqueeze(-1), 0.0)
    return Partial(out_NME, lse_NM)
