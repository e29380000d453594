"""Attention by torch's flash kernel for the CPU, in every dtype.

It multiplies in float32 whatever the dtype is, and a mask costs it about a sixth: so keys that every token sees are
met without one, and others only by the tokens that see them.

Shapes: N independent problems, R heads that share their keys, T tokens, M = R * T query rows, S keys, D key width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.visible import Visible

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_TILE_TOKENS = 64
_MIN_SHARED_KEYS = 64


def flash_parts(
    q_NMD: Tensor, k_NSD: Tensor, v_NSD: Tensor, scale: float, visible: Visible
) -> list[tuple[Tensor, Tensor]]:
    """Outputs `[N, M, D]` and log-sum-exps `[N, M]` in float32: of the keys that all tokens see, and of the others.

    A row that sees none of the keys has output 0 and log-sum-exp -inf.
    """
    keys = k_NSD.shape[1]
    shared = visible.shared(range(visible.tokens), keys)
    if len(shared) < min(keys, _MIN_SHARED_KEYS):
        shared = range(0)
    parts = []
    if shared:
        k_here, v_here = (x[None, :, shared.start : shared.stop] for x in (k_NSD, v_NSD))
        out, lse = _FLASH(q_NMD[None], k_here, v_here, 0.0, False, scale=scale)
        parts.append((out[0].float(), lse[0].float()))
    if len(shared) < keys:
        q_NRTD = q_NMD.unflatten(1, (-1, visible.tokens))
        tiles = [_tile(q_NRTD, k_NSD, v_NSD, scale, visible, t, shared) for t in visible.tiles(_TILE_TOKENS)]
        outs, lses = zip(*tiles, strict=True)
        parts.append((torch.cat(outs, 2).flatten(1, 2), torch.cat(lses, 2).flatten(1, 2)))
    return parts


def _tile(
    q_NRTD: Tensor, k_NSD: Tensor, v_NSD: Tensor, scale: float, visible: Visible, tokens: range, shared: range
) -> tuple[Tensor, Tensor]:
    """Some of the tokens and the keys that any of them sees, apart from the shared ones."""
    q_NRTD = q_NRTD[:, :, tokens.start : tokens.stop]
    seen = visible.seen(tokens, k_NSD.shape[1])
    apart = seen.start < shared.stop and shared.start < seen.stop
    edges = [range(seen.start, shared.start), range(shared.stop, seen.stop)] if apart else [seen]
    hidden_TS = torch.cat([visible.hidden(tokens, edge) for edge in edges], 1)
    if not hidden_TS.shape[1]:
        out_NRTD = torch.zeros_like(q_NRTD, dtype=torch.float32)
        return out_NRTD, out_NRTD.new_full(q_NRTD.shape[:3], float("-inf"))
    k, v = (torch.cat([x[:, edge.start : edge.stop] for edge in edges], 1) for x in (k_NSD, v_NSD))
    k, v = (x.unsqueeze(1).expand(-1, q_NRTD.shape[1], -1, -1) for x in (k, v))
    bias_TS = torch.zeros(hidden_TS.shape, dtype=q_NRTD.dtype).masked_fill_(hidden_TS, float("-inf"))
    out, lse = _FLASH(q_NRTD, k, v, 0.0, False, attn_mask=bias_TS[None, None], scale=scale)
    # A row without a visible key comes back as lse 0, which would corrupt a merge.
    blind_T = hidden_TS.all(-1)
    return out.float().masked_fill(blind_T.unsqueeze(-1), 0.0), lse.float().masked_fill(blind_T, float("-inf"))
