"""A layer whose KV heads are kept in different ways: every group of heads in a memory of its own.

Shapes: H query heads, G KV heads, R query heads to a KV head, T tokens of the chunk, D key width, E value width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from farspan.attention.adapter import AttendCall, LayerHandler
from farspan.engine.allocation import Holder
from farspan.engine.layer import LayerMemory
from farspan.errors import SessionError
from farspan.methods.parts.plan import Plan


def handlers(memories: Sequence[LayerMemory]) -> list[LayerHandler]:
    """What answers for each layer of the model, of memories in the order of the layers."""
    layers: dict[int, list[LayerMemory]] = {}
    for memory in memories:
        layers.setdefault(memory.facts.index, []).append(memory)
    return [parts[0] if len(parts) == 1 else SplitLayer(parts) for parts in layers.values()]


def by_plan(memories: Sequence[LayerMemory]) -> dict[Plan, list[LayerMemory]]:
    """Memories that are kept alike."""
    groups: dict[Plan, list[LayerMemory]] = {}
    for memory in memories:
        groups.setdefault(memory.plan, []).append(memory)
    return groups


class SplitLayer:
    """Hands every memory its heads of a chunk, and puts the answers side by side."""

    def __init__(self, memories: Sequence[LayerMemory]) -> None:
        self.memories = memories

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in un-rotated keys and values and answer the un-rotated queries: `[H, T, E]` in the queries' dtype."""
        out_HTE = q_HTD.new_empty((*q_HTD.shape[:2], v_GTD.shape[2]))
        every_GR = torch.arange(q_HTD.shape[0], device=q_HTD.device).view(k_GTD.shape[0], -1)
        for memory in self.memories:
            own_G = torch.tensor(memory.heads, device=q_HTD.device)
            own_H = every_GR[own_G].flatten()
            sinks_H = None if call.sinks_H is None else call.sinks_H[own_H]
            own = q_HTD[own_H], k_GTD[own_G], v_GTD[own_G]
            out_HTE[own_H] = memory.attend(*own, replace(call, sinks_H=sinks_H))
        return out_HTE


def check_same_heads(holders: Sequence[Holder], state: Mapping[str, Any]) -> None:
    """A session goes on only with the layers and heads told apart as they were. Raises SessionError otherwise."""
    saved = [(layer["layer"], tuple(layer["heads"])) for layer in state["layers"]]
    if saved != [(holder.facts.index, holder.heads) for holder in holders]:
        raise SessionError(
            "the session was made with other heads kept apart", fix="put back the profile that its method names"
        )
