"""Attention in bfloat16 by products in bfloat16, for a CPU that has instructions for them.

Such a product is several times as fast as one in float32, but what it gives is rounded: of a logit of 100 that leaves
the nearest half. So it is made twice: once for the largest logit of every row, and once with that subtracted before
the rounding, which leaves the logits that matter near 0, where they are exact enough.

Shapes: N independent problems, R heads that share their keys, T tokens, M = R * T query rows, S keys, D key width,
E value width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.visible import Visible

_TILE_ROWS = 256
_TILE_LOGITS = 1 << 22
_TILE_LEAST_ROWS = 32
_LANES = 32
_LEAST = torch.finfo(torch.bfloat16).min

_Biases = list[tuple[slice, Tensor]]


def has_products() -> bool:
    """Whether this CPU multiplies bfloat16 at a speed of its own, and torch's flash kernel makes nothing of it."""
    # An older torch does not say; with AMX the flash kernel has products in bfloat16 itself.
    cpu = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return cpu.get("avx512_bf16", False) and not cpu.get("amx_bf16", False) and torch.backends.mkldnn.is_available()


def shifted(q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor, scale: float, visible: Visible) -> tuple[Tensor, Tensor]:
    """Outputs `[N, M, E]` and log-sum-exps `[N, M]`, float32; of a row that sees no key 0 and -inf."""
    keys = k_NSD.shape[1]
    q_NRTD = q_NMD.unflatten(1, (-1, visible.tokens))
    problems, heads = q_NRTD.shape[:2]
    out_NRTE = q_NMD.new_zeros((*q_NRTD.shape[:3], v_NSE.shape[2]), dtype=torch.float32)
    lse_NRT = out_NRTE.new_full(q_NRTD.shape[:3], float("-inf"))
    rows = min(_TILE_ROWS, max(_TILE_LEAST_ROWS, _TILE_LOGITS // keys))
    for tokens in visible.tiles(max(1, rows // heads)):
        seen, t = visible.seen(tokens, keys), slice(tokens.start, tokens.stop)
        s = slice(seen.start, seen.stop)
        biases = _biases(visible, tokens, keys)
        for n in range(problems if seen else 0):
            out_NRTE[n, :, t], lse_NRT[n, :, t] = _tile(q_NRTD[n, :, t], k_NSD[n, s], v_NSE[n, s], scale, biases)
    return out_NRTE.flatten(1, 2), lse_NRT.flatten(1, 2)


def _biases(visible: Visible, tokens: range, keys: int) -> _Biases:
    """Where some of these tokens do not see what others see: the columns, and `[T, S]`, -inf for who does not, or 0."""
    seen, shared = visible.seen(tokens, keys), visible.shared(tokens, keys)
    edges = [seen]
    if shared:
        before, after = (-(-width // _LANES) * _LANES for width in (shared.start - seen.start, seen.stop - shared.stop))
        edges = [seen[:before], seen[max(0, len(seen) - after) :]]
    biases = []
    for edge in filter(None, edges):
        hidden_TS = visible.hidden(tokens, edge)
        bias_TS = torch.zeros(hidden_TS.shape, dtype=torch.bfloat16).masked_fill_(hidden_TS, float("-inf"))
        biases.append((slice(edge.start - seen.start, edge.stop - seen.start), bias_TS))
    return biases


def _tile(q_RTD: Tensor, k_SD: Tensor, v_SE: Tensor, scale: float, biases: _Biases) -> tuple[Tensor, Tensor]:
    """Some tokens and all keys that any of them sees: `[R, T, E]` and `[R, T]`."""
    shape, q_MD, k_DS = q_RTD.shape[:2], q_RTD.flatten(0, 1), k_SD.T
    logits_MS = q_MD.new_empty((len(q_MD), len(k_SD)))
    logits_RTS = logits_MS.unflatten(0, shape)
    torch.addmm(logits_MS, q_MD, k_DS, beta=0, alpha=scale, out=logits_MS)
    for columns, bias_TS in biases:
        logits_RTS[..., columns].add_(bias_TS)
    top_M1 = logits_MS.float().amax(-1, keepdim=True).clamp_min_(_LEAST)
    logits_MS.copy_(top_M1)
    for columns, bias_TS in biases:
        logits_RTS[..., columns].sub_(bias_TS)
    weights_MS = logits_MS.addmm_(q_MD, k_DS, beta=-1, alpha=scale).exp_()
    total_M1 = weights_MS.sum(-1, keepdim=True, dtype=torch.float32)
    out_ME = torch.mm(weights_MS, v_SE).float().div_(total_M1.clamp_min(torch.finfo(torch.float32).tiny))
    lse_M = (top_M1 + total_M1.log()).squeeze(-1)
    return out_ME.unflatten(0, shape), lse_M.unflatten(0, shape)
