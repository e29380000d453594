"""What hosting finds out about a layer of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """What a layer's attention is made of.

    A sliding-window layer lets query i see keys i - sliding_window + 1 to i. `rope_kind` names the frequencies of the
    layer (layers of one kind share them), None where the layer has no positions. `softcap` and `has_sinks` are for
    information: the values come with every AttendCall.
    """

    index: int
    q_heads: int
    kv_heads: int
    key_dim: int
    value_dim: int
    scaling: float
    sliding_window: int | None
    rope_kind: str | None
    softcap: float | None
    has_sinks: bool

    @property
    def uses_rope(self) -> bool:
        """Whether the layer turns its queries and keys by position."""
        return self.rope_kind is not None
