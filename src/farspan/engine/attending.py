"""Attention over all that a chunk meets in one layer, segment by segment, or at once for a single token.

Shapes: H query heads, G KV heads, T tokens, N searches, M query rows, S keys, E value width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from farspan.attention.kernels import attend_token, weighed_attention
from farspan.attention.meeting import Strongest
from farspan.attention.softmax import Partial, merge, observed_attention, received
from farspan.engine.scene import Scene
from farspan.engine.segments import Segment

_MERGE_EVERY = 8
Weighed = list[tuple[Segment, Tensor]]


class Attending:
    """The attention of one layer's chunk. `note` sees every segment; `watched` says whether the keys are told that
    draw most attention from the last token.
    """

    def __init__(self, scene: Scene, note: Callable[[Segment], None], watched: bool = False) -> None:
        self._scene = scene
        self._note = note
        self._watched = watched
        self._parts: list[Partial] = []
        self._weighed: Weighed = []
        self._strongest: list[Strongest] = []

    def run(self, sinks_H: Tensor | None = None) -> Partial:
        """One softmax over all segments and `sinks_H`, logits without a value: `[H, T, E]` and its log-sum-exp
        `[H, T]`.

        The mass of keys, where a segment has one, grows by the attention that they receive.
        """
        if self._scene.at_once:
            return self._at_once(sinks_H)
        sink_HT = None if sinks_H is None else sinks_H[:, None].expand(self._scene.q_HTD.shape[:2])
        alone = self._one_by_one()
        if alone is not None:
            return self._weigh(alone, sink_HT)
        whole = merge(self._parts, sink_HT)
        for segment, logits_NMS in self._weighed:
            assert segment.mass_NS is not None
            segment.mass_NS.add_(received(logits_NMS, segment.folding.fold(whole.lse_NM.unsqueeze(-1)).squeeze(-1)))
        return whole

    @property
    def strongest(self) -> Strongest:
        """The keys that draw most attention from the last token, once it has run."""
        return reduce(Strongest.joined, self._strongest)

    def _at_once(self, sinks_H: Tensor | None) -> Partial:
        """All segments in one call or, where blocks come in pieces, so that never two of these are held; what is
        weighed comes last, when all else is known.
        """
        weighed, waiting = list[Segment](), list[Segment]()
        for segment in self._scene.segments():
            self._note(segment)
            if segment.rows_NX is not None and any(other.rows_NX is not None for other in waiting):
                self._parts.append(self._token(waiting, None))
                waiting = []
            (waiting if segment.mass_NS is None else weighed).append(segment)
            if segment.fleeting:
                self._parts.append(self._token(waiting, None))
                waiting = []
        if not self._parts:
            return self._token(weighed + waiting, sinks_H)
        before = merge(self._parts, None if sinks_H is None else sinks_H.unsqueeze(1))
        if not weighed + waiting:
            return before
        last = self._token(weighed + waiting, before.lse_NM[:, 0])
        share_NM = torch.exp(before.lse_NM - last.lse_NM).nan_to_num_(0.0)
        return Partial(last.out_NME + before.out_NME * share_NM.unsqueeze(-1), last.lse_NM)

    def _token(self, segments: list[Segment], others_H: Tensor | None) -> Partial:
        """What the one token draws from these; `others_H` is the log-sum-exp of all its other logits."""
        meetings, q_HD = [segment.last() for segment in segments], self._scene.q_HTD[:, -1]
        found = attend_token(q_HD, meetings, self._scene.scoring, others_H, strongest=self._watched)
        self._strongest += [] if found.strongest is None else [found.strongest]
        return Partial(found.out_HE.unsqueeze(1), found.lse_H.unsqueeze(1))

    def _one_by_one(self) -> Segment | None:
        """Attend to all segments but, if it is the only one that is weighed, that one."""
        weighed: list[tuple[int, Segment]] = []
        for number, segment in enumerate(self._scene.segments()):
            self._note(segment)
            if self._watched:
                self._watch(segment)
            if segment.mass_NS is not None:
                weighed.append((number, segment))
            else:
                self._add(number, segment)
        if len(weighed) == 1 and weighed[0][1].bias_NMS is None:
            return weighed[0][1]
        for number, segment in weighed:
            self._add(number, segment)
        return None

    def _add(self, number: int, segment: Segment) -> None:
        part, logits_NMS = self._scene.plan.combine.attend(self._scene.met(segment, number))
        if segment.mass_NS is not None:
            assert logits_NMS is not None
            self._weighed.append((segment, logits_NMS))
        self._parts.append(Partial(segment.folding.unfold(part.out_NME), segment.folding.unfold(part.lse_NM)))
        if len(self._parts) == _MERGE_EVERY:
            self._parts = [merge(self._parts)]

    def _weigh(self, segment: Segment, sink_HT: Tensor | None) -> Partial:
        """Attend to the last segment when all else is known, so that its weights need not be kept to add them up."""
        assert segment.mass_NS is not None
        folding, parts = segment.folding, self._parts
        if parts:
            others_HT = merge(parts, sink_HT).lse_NM
        else:
            none_HT = self._scene.q_HTD.new_full(self._scene.q_HTD.shape[:2], float("-inf"), dtype=torch.float32)
            others_HT = none_HT if sink_HT is None else sink_HT.float()
        others_NM = folding.fold(others_HT.unsqueeze(-1)).squeeze(-1)
        part, mass_NS = weighed_attention(segment.q_NMD, segment.runs, self._scene.scoring, others_NM)
        segment.mass_NS.add_(mass_NS)
        return merge([*parts, Partial(folding.unfold(part.out_NME), folding.unfold(part.lse_NM))], sink_HT)

    def _watch(self, segment: Segment) -> None:
        """Ask again what the chunk's last token meets."""
        met, scoring = segment.last(), self._scene.scoring
        if segment.bias_NMS is None:
            strongest = attend_token(self._scene.q_HTD[:, -1], [met], scoring, strongest=True).strongest
            assert strongest is not None
        else:
            last = segment.folding.of_last
            q_NRD, runs, bias_NRS = segment.q_NMD[last], met.runs, segment.bias_NMS[last]
            _, logits = observed_attention(q_NRD, runs.k_NKD, runs.v_NKE, scoring, runs.sight(1), bias_NRS)
            strongest = Strongest.of(logits.flatten(0, 1), runs, met.place_NX)
        self._strongest.append(strongest)
