"""Attention over all that a chunk meets in one layer, segment by segment.

Shapes: H query heads, G KV heads, T tokens, N searches, M query rows, S keys, E value width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from farspan.attention.kernels import Partial, merge
from farspan.engine.scene import Scene
from farspan.engine.segments import Segment

_MERGE_EVERY = 8
Note = Callable[[Segment, Tensor | None], None]


def attend(scene: Scene, sink_HT: Tensor | None, note: Note) -> Partial:
    """One softmax over all segments: `[H, T, E]` and its log-sum-exp `[H, T]`.

    `note` sees every segment and, where a scene is watched, the logits `[H, S]` of the chunk's last token. The mass of
    keys, where a segment has one, grows by the attention that they receive.
    """
    parts: list[Partial] = []
    weighed: list[tuple[Segment, Tensor]] = []
    for number, segment in enumerate(scene.segments()):
        part, logits_NMS = scene.plan.combine.attend(scene.met(segment, number))
        if segment.mass_NS is not None:
            assert logits_NMS is not None
            weighed.append((segment, logits_NMS))
        parts.append(Partial(segment.folding.unfold(part.out_NME), segment.folding.unfold(part.lse_NM)))
        note(segment, _last_logits(scene, segment, logits_NMS) if scene.watched else None)
        if len(parts) == _MERGE_EVERY:
            parts = [merge(parts)]
    whole = merge(parts, sink_HT)
    for segment, logits_NMS in weighed:
        assert segment.mass_NS is not None
        lse_NM1 = segment.folding.fold(whole.lse_NM.unsqueeze(-1))
        segment.mass_NS.add_(torch.exp(logits_NMS - lse_NM1).sum(1))
    return whole


def _last_logits(scene: Scene, segment: Segment, logits_NMS: Tensor | None) -> Tensor:
    """The logits `[H, S]` of the chunk's last token; those of all tokens are at hand, or it is asked again."""
    if logits_NMS is None:
        _, logits_NMS = scene.met(segment.last(), 0).attend()
        assert logits_NMS is not None
    elif segment.folding.tokens > 1:
        logits_NMS = logits_NMS[segment.folding.of_last]
    return logits_NMS.flatten(0, 1)
