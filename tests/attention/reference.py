"""Dense attention written out: the plainest handler, which the hosted families are held against.

Legend: T tokens of a chunk, N tokens seen, H query heads, G kv heads, D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, HostedModel


class Reference:
    """Keeps every un-rotated key and value of one layer, and attends to all of them in float32."""

    def __init__(self, hosted: HostedModel, index: int) -> None:
        self.hosted = hosted
        self.fact = hosted.facts[index]
        self.k_GND = torch.empty(0)
        self.v_GND = torch.empty(0)

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in k and v, and answer q."""
        first = self.k_GND.numel() == 0
        self.k_GND = k_GTD if first else torch.cat((self.k_GND, k_GTD), dim=1)
        self.v_GND = v_GTD if first else torch.cat((self.v_GND, v_GTD), dim=1)
        seen, chunk = self.k_GND.shape[1], q_HTD.shape[1]
        positions_N = torch.arange(seen, device=q_HTD.device)
        positions_T = positions_N[-chunk:]
        rope = self.hosted.rope(self.fact.index, seen)
        keys = self.k_GND if rope is None else rope.rotate(self.k_GND, positions_N)
        queries = q_HTD if rope is None else rope.rotate(q_HTD, positions_T)
        group = self.fact.q_heads // self.fact.kv_heads
        logits_HTN = queries.float() @ keys.float().repeat_interleave(group, 0).mT * call.scaling
        if call.softcap is not None:
            logits_HTN = call.softcap * torch.tanh(logits_HTN / call.softcap)
        distance_TN = positions_T[:, None] - positions_N
        hidden_TN = distance_TN < 0
        if self.fact.sliding_window is not None:
            hidden_TN |= distance_TN >= self.fact.sliding_window
        logits_HTN = logits_HTN.masked_fill(hidden_TN, -torch.inf)
        if call.sinks_H is not None:
            sinks_HT1 = call.sinks_H.float()[:, None, None].expand(-1, chunk, 1)
            logits_HTN = torch.cat((logits_HTN, sinks_HT1), dim=-1)
        weights_HTN = logits_HTN.softmax(-1)[..., :seen]
        return (weights_HTN @ self.v_GND.float().repeat_interleave(group, 0)).to(v_GTD.dtype)


def read(hosted: HostedModel, ids_T: Tensor, chunk: int) -> Tensor:
    """The logits of every token, read chunk by chunk."""
    handlers = [Reference(hosted, fact.index) for fact in hosted.facts]
    parts = [
        hosted.forward(ids_T[start : start + chunk], start, handlers, "all") for start in range(0, len(ids_T), chunk)
    ]
    return torch.cat([part for part in parts if part is not None])
