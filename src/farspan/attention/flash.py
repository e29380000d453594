"""Attention by torch's flash kernels, with the log-sum-exp that its public functions do not give.

That for the CPU takes every dtype and multiplies in float32. A mask costs it about a sixth, and the faster of those for
GPUs takes none: so keys that every token sees are met without one, and others only by the tokens that see them.

Shapes: N independent problems, R heads that share their keys, T tokens, M = R * T query rows, S keys, D key width, E
value width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.backends.cuda import SDPAParams, can_use_efficient_attention, can_use_flash_attention

from farspan.attention.visible import Visible

_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_GPU = torch.ops.aten._scaled_dot_product_flash_attention
_GPU_EFFICIENT = torch.ops.aten._scaled_dot_product_efficient_attention
_TILE_TOKENS = 64
_MIN_SHARED_KEYS = 64
_LANES = 16


def takes(q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor) -> bool:
    """Whether torch has a flash kernel for these."""
    if q_NMD.device.type == "cpu":
        return k_NSD.shape[2] == v_NSE.shape[2]
    return q_NMD.is_cuda and can_use_efficient_attention(_parameters(q_NMD[None], k_NSD[None], v_NSE[None]))


def flash_parts(
    q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor, scale: float, visible: Visible
) -> list[tuple[Tensor, Tensor]]:
    """Outputs `[N, M, E]` and log-sum-exps `[N, M]` in float32: of the keys that all tokens see, and of the others.

    A row that sees none of the keys has output 0 and log-sum-exp -inf.
    """
    keys = k_NSD.shape[1]
    shared = visible.shared(range(visible.tokens), keys)
    if len(shared) < min(keys, _MIN_SHARED_KEYS):
        shared = range(0)
    parts = []
    if shared:
        k_here, v_here = (x[None, :, shared.start : shared.stop] for x in (k_NSD, v_NSE))
        out, lse = _flash(q_NMD[None], k_here, v_here, scale)
        parts.append((out[0].float(), lse[0].float()))
    if len(shared) < keys:
        q_NRTD = q_NMD.unflatten(1, (-1, visible.tokens))
        tiles = [_tile(q_NRTD, k_NSD, v_NSE, scale, visible, t, shared) for t in visible.tiles(_TILE_TOKENS)]
        outs, lses = zip(*tiles, strict=True)
        parts.append((torch.cat(outs, 2).flatten(1, 2), torch.cat(lses, 2).flatten(1, 2)))
    return parts


def _tile(
    q_NRTD: Tensor, k_NSD: Tensor, v_NSE: Tensor, scale: float, visible: Visible, tokens: range, shared: range
) -> tuple[Tensor, Tensor]:
    """Some of the tokens and the keys that any of them sees, apart from the shared ones."""
    q_NRTD = q_NRTD[:, :, tokens.start : tokens.stop]
    seen = visible.seen(tokens, k_NSD.shape[1])
    apart = seen.start < shared.stop and shared.start < seen.stop
    edges = [range(seen.start, shared.start), range(shared.stop, seen.stop)] if apart else [seen]
    hidden_TS = torch.cat([visible.hidden(tokens, edge, q_NRTD.device) for edge in edges], 1)
    if not hidden_TS.shape[1]:
        out_NRTE = q_NRTD.new_zeros((*q_NRTD.shape[:3], v_NSE.shape[2]), dtype=torch.float32)
        return out_NRTE, out_NRTE.new_full(q_NRTD.shape[:3], float("-inf"))
    k, v = (torch.cat([x[:, edge.start : edge.stop] for edge in edges], 1) for x in (k_NSD, v_NSE))
    k, v = (x.unsqueeze(1).expand(-1, q_NRTD.shape[1], -1, -1) for x in (k, v))
    out, lse = _flash(q_NRTD, k, v, scale, hidden_TS)
    # A row without a visible key comes back as lse 0, which would corrupt a merge.
    blind_T = hidden_TS.all(-1)
    return out.float().masked_fill(blind_T.unsqueeze(-1), 0.0), lse.float().masked_fill(blind_T, float("-inf"))


def _flash(q: Tensor, k: Tensor, v: Tensor, scale: float, hidden_TS: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Outputs `[N, R, T, E]` and log-sum-exps `[N, R, T]`."""
    bias_TS = None if hidden_TS is None else _bias(hidden_TS, q.dtype)
    bias_NRTS = None if bias_TS is None else bias_TS.expand(*q.shape[:2], -1, -1)
    return (_on_cpu if q.device.type == "cpu" else _on_gpu)(q, k, v, scale, bias_NRTS)


def _on_cpu(q: Tensor, k: Tensor, v: Tensor, scale: float, bias_NRTS: Tensor | None) -> tuple[Tensor, Tensor]:
    out, lse = _CPU(q, k, v, 0.0, False, attn_mask=bias_NRTS, scale=scale)
    return out, lse


def _on_gpu(q: Tensor, k: Tensor, v: Tensor, scale: float, bias_NRTS: Tensor | None) -> tuple[Tensor, Tensor]:
    if bias_NRTS is None and q.shape[3] % 8 == 0 and can_use_flash_attention(_parameters(q, k, v)):
        out, lse, *_ = _GPU(q, k, v, 0.0, False, False, scale=scale)
        return out, lse
    out, lse, *_ = _GPU_EFFICIENT(q, k, v, bias_NRTS, True, 0.0, False, scale=scale)
    return out, lse[..., : q.shape[2]]


def _bias(hidden_TS: Tensor, dtype: torch.dtype) -> Tensor:
    """0 or, where a key is hidden, -inf, in rows that begin where those for GPUs have to."""
    tokens, keys = hidden_TS.shape
    bias_TS = torch.zeros(tokens, -(-keys // _LANES) * _LANES, dtype=dtype, device=hidden_TS.device)[:, :keys]
    return bias_TS.masked_fill_(hidden_TS, float("-inf"))


def _parameters(q: Tensor, k: Tensor, v: Tensor) -> SDPAParams:
    return SDPAParams(q, k, v, None, 0.0, False, False)
