"""Attention over all that a chunk meets in one layer, segment by segment.

Shapes: H query heads, G KV heads, T tokens, N searches, M query rows, S keys, E value width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from farspan.attention.kernels import Partial, merge
from farspan.engine.segments import Scene, Segment

_MERGE_EVERY = 8


def attend(scene: Scene, sink_HT: Tensor | None, note: Callable[[Segment], None]) -> Partial:
    """One softmax over all segments: `[H, T, E]` and its log-sum-exp `[H, T]`; `note` sees every segment.

    The mass of keys, where a segment has one, grows by the attention that they receive.
    """
    parts: list[Partial] = []
    weighed: list[tuple[Segment, Tensor, Tensor]] = []
    for number, segment in enumerate(scene.segments()):
        met = scene.met(segment, number)
        if segment.mass_NS is None:
            part = scene.plan.combine.attend(met)
        else:
            part, weights_NMS = met.weighed()
            weighed.append((segment, part.lse_NM, weights_NMS))
        parts.append(Partial(segment.folding.unfold(part.out_NME), segment.folding.unfold(part.lse_NM)))
        note(segment)
        if len(parts) == _MERGE_EVERY:
            parts = [merge(parts)]
    whole = merge(parts, sink_HT)
    for segment, lse_NM, weights_NMS in weighed:
        share_NM = torch.exp(lse_NM - segment.folding.fold(whole.lse_NM.unsqueeze(-1)).squeeze(-1))
        assert segment.mass_NS is not None
        segment.mass_NS.add_(torch.einsum("nm,nms->ns", share_NM, weights_NMS))
    return whole
