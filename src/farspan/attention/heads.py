"""What a twin's attention runs as for one token: its queries, keys and values by one call, straight to its port.

Positions stand still in a twin, so nothing is turned on the way. An attention is known by its forward, which may name
nothing but what transformers' plain ones name: no norm, no clipping, no factor. And it is tried (`layers.py`).

Shapes: B streams, T tokens, H query heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from transformers import Cache

from farspan.attention.native.library import Kernel
from farspan.attention.native.product import products
from farspan.attention.shortcuts import OfLinears, names_of

_NAMES = {
    *("shape", "head_dim", "view", "transpose", "reshape", "contiguous", "layer_idx", "scaling", "training"),
    *("q_proj", "k_proj", "v_proj", "o_proj", "apply_rotary_pos_emb", "update", "attention_dropout"),
    *("use_rope", "sliding_window", "getattr"),
    *("ALL_ATTENTION_FUNCTIONS", "get_interface", "config", "_attn_implementation", "eager_attention_forward"),
}


class Heads(OfLinears):
    """The attention of one token of each stream."""

    NAMES = "q_proj", "k_proj", "v_proj", "o_proj"

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self._width: Any = module.head_dim
        self._index: Any = module.layer_idx

    @classmethod
    def stands_for(cls, module: nn.Module) -> bool:
        """Whether the module may be such an attention."""
        parts = {name for name, _ in module.named_children()}
        known = parts == set(cls.NAMES) and cls.has_parts(module) and names_of(module) <= _NAMES
        return known and hasattr(module, "head_dim") and hasattr(module, "layer_idx")

    def run(
        self,
        kernel: Kernel,
        hidden_states: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        **extras: Any,
    ) -> tuple[Tensor, None] | None:
        """From the layer's input to the output of its attention."""
        matrices = self.matrices(hidden_states) if past_key_values is not None and hidden_states.shape[1] == 1 else None
        if matrices is None:
            return None
        made = products(kernel, hidden_states, matrices[:3])
        found = self.attended(made, past_key_values, attention_mask, extras)
        return products(kernel, found, matrices[3:])[0], None

    def attended(self, made: Sequence[Tensor], cache: Any, mask: Any, extras: dict[str, Any]) -> Tensor:
        """What the port of this layer answers to queries, keys and values `[B, 1, H * D]`: `[B, 1, H * D]`."""
        q, k, v = (y.view(len(y), -1, 1, self._width) for y in made)
        extras["scaling"] = self._module.scaling
        out_BHTD: Tensor = cache.layers[self._index].attend(q, k, v, mask, extras)
        return out_BHTD.reshape(len(q), 1, -1)
