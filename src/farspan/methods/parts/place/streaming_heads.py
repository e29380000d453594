"""The KV heads that look near and at the first tokens only (DuoAttention, Xiao et al. 2024, arXiv 2410.10819)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from farspan.errors import MethodError
from farspan.methods.parts.place.profile import MEASURE, load_profile

if TYPE_CHECKING:
    from farspan.methods.parts.terms import Heads, ModelFacts


@dataclass(frozen=True, slots=True)
class StreamingHeads:
    """The share `sparsity` of a model's KV heads that retrieve least, by the profile in a file; of equals the later.

    Layers with a sliding window of their own are not counted. The file is read when a session is made.
    """

    profile: str
    sparsity: float

    def heads(self, model: ModelFacts) -> Heads:
        """Those of the lowest scores."""
        profile = load_profile(self.profile)
        if profile.fingerprint and profile.fingerprint != model.fingerprint:
            raise MethodError(f"the heads in {self.profile} are those of another model, {profile.model}", fix=MEASURE)
        layers = [layer for layer in model.facts if layer.sliding_window is None]
        if not layers:
            return {}
        scores = profile.of_kv_heads(layers[0].q_heads // layers[0].kv_heads)
        places = [(layer.index, head) for layer in layers for head in range(layer.kv_heads)]
        ranked = sorted(places, key=lambda place: -scores.get(place, 0.0))
        heads: dict[int, set[int]] = {}
        for index, head in ranked[len(ranked) - int(self.sparsity * len(ranked)) :]:
            heads.setdefault(index, set()).add(head)
        return heads
