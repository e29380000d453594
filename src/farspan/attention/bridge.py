"""What transformers calls while it runs a hosted model: a cache, an attention function, a mask, a rotary module.

The rotary module stands still, so that un-rotated queries and keys reach the attention function. The cache keeps
nothing: it marks each layer's new keys with the layer's port, and the attention function asks that port.

Legend: B streams, T tokens of the chunk, H query heads, G kv heads, D head width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import CacheLayerMixin

from farspan.errors import ModelError

NAME = "farspan"


@dataclass(frozen=True, slots=True)
class AttendCall:
    """What the model hands its attention function besides q, k and v; the same at every call of a layer.

    Logits are `q @ k * scaling`, then `softcap * tanh(logits / softcap)` where there is a soft cap; `sinks_H` are
    logits that join each query head's softmax and carry no value.
    """

    scaling: float
    softcap: float | None = None
    sinks_H: Tensor | None = None


class LayerHandler(Protocol):
    """The memory of one layer, as the model sees it."""

    def attend(self, q_HTD: Tensor, k_GTD: Tensor, v_GTD: Tensor, call: AttendCall) -> Tensor:
        """Take in the chunk's un-rotated keys and values, and answer its un-rotated queries: `out_HTD`."""
        ...


@dataclass(frozen=True, slots=True)
class Mask:
    """Stands for a mask. `sees(batch, head, query, key)` is its rule, `reach` its sliding window."""

    sees: Callable[..., Any]
    reach: int | None


class Port(CacheLayerMixin):  # type: ignore[misc]
    """The cache layer that transformers sees: `start` tokens long, and it hands attention on to its handlers.

    There is one for every stream of the batch; `start` is then the longest one's length.
    """

    is_sliding = False

    def __init__(self, handlers: Sequence[LayerHandler], start: int) -> None:
        super().__init__()
        self.handlers = handlers
        self.start = start
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to set up."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Mark the new keys, and give back nothing but the new keys and values."""
        key_states.farspan_port = self  # type: ignore[attr-defined]
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys, as if all tokens seen were here."""
        return self.start + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens seen before this chunk."""
        return self.start

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, extras: dict[str, Any]) -> Tensor:
        """Answer one call of the attention function, each stream apart: `[B, H, T, D]`."""
        assert len(self.handlers) == len(q)
        call = call_of(q, extras)
        out = [handler.attend(q[i], k[i], v[i], call) for i, handler in enumerate(self.handlers)]
        return out[0].unsqueeze(0) if len(out) == 1 else torch.stack(out)


class StillRotary(nn.Module):
    """Stands in for a model's rotary module: cos = 1 and sin = 0 in the shape that the model expects.

    While `turning`, it runs the module itself, and so learns the width that the model expects for each layer type.
    """

    def __init__(self, source: nn.Module) -> None:
        super().__init__()
        self.source = source
        self.turning = True
        self.widths: dict[str | None, int] = {}

    def __getattr__(self, name: str) -> Any:
        """Whatever else the model asks of its rotary module."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("source"), name)

    def forward(self, x: Tensor, position_ids: Tensor, layer_type: str | None = None) -> tuple[Tensor, Tensor]:
        """cos and sin `[B, T, width]` in the dtype of `x`."""
        if self.turning:
            kind = {} if layer_type is None else {"layer_type": layer_type}
            turned = self.source(x, position_ids, **kind)
            if not (isinstance(turned, tuple) and len(turned) == 2 and turned[0].is_floating_point()):
                raise ModelError("its rotary module does not give cos and sin")
            self.widths[layer_type] = turned[0].shape[-1]
            return turned
        shape = (*position_ids.shape, self.widths[layer_type])
        return x.new_ones(shape), x.new_zeros(shape)


def call_of(q: Tensor, extras: dict[str, Any]) -> AttendCall:
    """The part of an attention call's keywords that a handler needs."""
    scaling = extras.get("scaling")
    return AttendCall(q.shape[-1] ** -0.5 if scaling is None else scaling, extras.get("softcap"), extras.get("s_aux"))


def register() -> None:
    """Make the attention and mask functions known to transformers under the name `farspan`; again does no harm."""
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **extras: Any
) -> tuple[Tensor, None]:
    port: Port | None = getattr(key, "farspan_port", None)
    if port is None:
        raise ModelError("its keys reach attention by another way than its cache")
    out_BHTD = port.attend(query, key, value, attention_mask, extras)
    return out_BHTD.transpose(1, 2).contiguous(), None


def _mask(*, mask_function: Callable[..., Any], local_size: int | None = None, **_: Any) -> Mask:
    return Mask(mask_function, local_size)
