"""Attention by products of matrices, some query rows at a time, so that what lies between them stays in the cache.

In bfloat16, for a CPU that has instructions for it: such a product is several times as fast as one in float32, but
what it gives is rounded, and of a logit of 100 that leaves the nearest half. So it is made twice: once for the largest
logit of every row, and once with that subtracted before the rounding, which leaves the logits that matter near 0, where
they are exact enough.

In both dtypes, where it is wanted how much attention each key receives: the weights are at hand.

Shapes: N independent problems, R heads that share their keys, T tokens, M = R * T query rows, S keys, D key width,
E value width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.visible import Visible

_TILE_ROWS = 256
_TILE_LOGITS = 1 << 22
_TILE_LEAST_ROWS = 32
_LANES = 32
_LEAST = torch.finfo(torch.bfloat16).min

_Biases = list[tuple[slice, Tensor]]


class Tiled(NamedTuple):
    """Outputs and log-sum-exps in float32, of a row that sees no key 0 and -inf; what keys received, if it is asked."""

    out_NME: Tensor
    lse_NM: Tensor
    mass_NS: Tensor | None


def tiled(
    q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor, scale: float, visible: Visible, others_NM: Tensor | None = None
) -> Tiled:
    """Attention of rows that are the tokens of `visible`, once for each head.

    With `others_NM`, the log-sum-exp of all other logits of each row, what each key receives of all attention.
    """
    keys = k_NSD.shape[1]
    q_NRTD = q_NMD.unflatten(1, (-1, visible.tokens))
    problems, heads = q_NRTD.shape[:2]
    out_NRTE = q_NMD.new_zeros((*q_NRTD.shape[:3], v_NSE.shape[2]), dtype=torch.float32)
    lse_NRT = out_NRTE.new_full(q_NRTD.shape[:3], float("-inf"))
    others_NRT = None if others_NM is None else others_NM.unflatten(1, (-1, visible.tokens))
    mass_NS = None if others_NM is None else out_NRTE.new_zeros(k_NSD.shape[:2])
    rows = min(_TILE_ROWS, max(_TILE_LEAST_ROWS, _TILE_LOGITS // keys))
    for tokens in visible.tiles(max(1, rows // heads)):
        seen, t = visible.seen(tokens, keys), slice(tokens.start, tokens.stop)
        s = slice(seen.start, seen.stop)
        biases = _biases(visible, tokens, keys, q_NRTD.device)
        for n in range(problems if seen else 0):
            tile = _tile(q_NRTD[n, :, t], k_NSD[n, s], v_NSE[n, s], scale, biases)
            out_NRTE[n, :, t], lse_NRT[n, :, t] = tile.out_RTE, tile.lse_RT
            if mass_NS is not None and others_NRT is not None:
                mass_NS[n, s] += tile.received(others_NRT[n, :, t])
    return Tiled(out_NRTE.flatten(1, 2), lse_NRT.flatten(1, 2), mass_NS)


class _Tile(NamedTuple):
    """Some tokens and all keys that any of them sees; weights add up to `total_M1`."""

    out_RTE: Tensor
    lse_RT: Tensor
    weights_MS: Tensor
    total_M1: Tensor

    def received(self, others_RT: Tensor) -> Tensor:
        """What each key receives of all attention: `[S]`."""
        share_RT = torch.exp(self.lse_RT - torch.logaddexp(self.lse_RT, others_RT)).nan_to_num_(0.0)
        return torch.mv(self.weights_MS.T, (share_RT.flatten() / self.total_M1[:, 0]).to(self.weights_MS.dtype)).float()


def _biases(visible: Visible, tokens: range, keys: int, device: torch.device) -> _Biases:
    """Where some of these tokens do not see what others see: the columns, and `[T, S]`, -inf for who does not, or 0."""
    seen, shared = visible.seen(tokens, keys), visible.shared(tokens, keys)
    edges = [seen]
    if shared:
        before, after = (-(-width // _LANES) * _LANES for width in (shared.start - seen.start, seen.stop - shared.stop))
        edges = [seen[:before], seen[max(0, len(seen) - after) :]]
    biases = []
    for edge in filter(None, edges):
        hidden_TS = visible.hidden(tokens, edge, device)
        bias_TS = torch.zeros(hidden_TS.shape, dtype=torch.bfloat16, device=device)
        bias_TS.masked_fill_(hidden_TS, float("-inf"))
        biases.append((slice(edge.start - seen.start, edge.stop - seen.start), bias_TS))
    return biases


def _tile(q_RTD: Tensor, k_SD: Tensor, v_SE: Tensor, scale: float, biases: _Biases) -> _Tile:
    shape, q_MD, k_DS = q_RTD.shape[:2], q_RTD.flatten(0, 1), k_SD.T
    logits_MS = q_MD.new_empty((len(q_MD), len(k_SD)))
    logits_RTS = logits_MS.unflatten(0, shape)
    torch.addmm(logits_MS, q_MD, k_DS, beta=0, alpha=scale, out=logits_MS)
    for columns, bias_TS in biases:
        logits_RTS[..., columns].add_(bias_TS)
    top_M1 = logits_MS.float().amax(-1, keepdim=True).clamp_min_(_LEAST)
    if q_RTD.dtype == torch.float32:
        weights_MS = logits_MS.sub_(top_M1).exp_()
    else:
        logits_MS.copy_(top_M1)
        for columns, bias_TS in biases:
            logits_RTS[..., columns].sub_(bias_TS)
        weights_MS = logits_MS.addmm_(q_MD, k_DS, beta=-1, alpha=scale).exp_()
    total_M1 = weights_MS.sum(-1, keepdim=True, dtype=torch.float32).clamp_min_(torch.finfo(torch.float32).tiny)
    out_ME = torch.mm(weights_MS, v_SE).float().div_(total_M1)
    seen_M1 = total_M1 > torch.finfo(torch.float32).tiny
    lse_M1 = (top_M1 + total_M1.log()).masked_fill_(~seen_M1, float("-inf"))
    return _Tile(out_ME.unflatten(0, shape), lse_M1.view(shape), weights_MS, total_M1)
