"""What a twin's attention runs as for one token: its queries, keys and values by one call, straight to its port.

Positions stand still in a twin, so nothing is turned on the way. An attention is known by its forward, which may name
nothing but what transformers' plain ones name: no norm, no clipping, no factor. And it is tried: two tokens, each a
stream of its own, go through the body, and where both ways do not give the same, it stays what it is.

Shapes: B streams, T tokens, H query heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from farspan.attention.bridge import Port, call_of
from farspan.attention.kernels import native_kernel
from farspan.attention.native.library import Kernel
from farspan.attention.native.product import products
from farspan.attention.probe import close
from farspan.attention.shortcuts import OfLinears

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
        names = getattr(getattr(type(module).forward, "__code__", None), "co_names", None)
        parts = {name for name, _ in module.named_children()}
        known = names is not None and set(names) <= _NAMES and parts == set(cls.NAMES) and cls.has_parts(module)
        return known and "forward" not in vars(module) and hasattr(module, "head_dim") and hasattr(module, "layer_idx")

    def run(
        self,
        kernel: Kernel,
        hidden_states: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        **extras: Any,
    ) -> tuple[Tensor, None] | None:
        """From the layer's input to the output of its attention."""
        streams, tokens, _ = hidden_states.shape
        matrices = None if tokens != 1 or past_key_values is None else self.matrices(hidden_states)
        if matrices is None or past_key_values is None:
            return None
        q, k, v = (y.view(streams, -1, 1, self._width) for y in products(kernel, hidden_states, matrices[:3]))
        extras["scaling"] = self._module.scaling
        out_BHTD = past_key_values.layers[self._index].attend(q, k, v, attention_mask, extras)
        return products(kernel, out_BHTD.reshape(streams, 1, -1), matrices[3:])[0], None


class _Trial:
    """Runs an attention both ways; `agree` once they gave the same, and something."""

    def __init__(self, shortcut: Heads, kernel: Kernel) -> None:
        self.shortcut = shortcut
        self.agree = False
        self._kernel = kernel

    def __call__(self, *args: Any, **named: Any) -> Any:
        wanted = self.shortcut.own(*args, **named)
        got = self.shortcut.run(self._kernel, *args, **named)
        self.agree = got is not None and bool(wanted[0].any()) and close(got[0], wanted[0])
        return wanted


class _Witness(Port):
    """Answers with what depends on all that it is handed."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, extras: dict[str, Any]) -> Tensor:
        """The values, as large as queries and keys are in some directions."""
        group, call = q.shape[1] // k.shape[1], call_of(q, extras)
        k, v = (x.repeat_interleave(group, 1) for x in (k, v))
        size = ((2 * q.float() + k.float()) * torch.linspace(1, 2, q.shape[-1])).sum(-1, keepdim=True) * call.scaling
        size += (call.softcap or 0.0) + (0.0 if call.sinks_H is None else call.sinks_H.view(1, -1, 1, 1))
        return (v.float() * size).to(q.dtype)


def shorten(body: Any, run: Callable[..., Any]) -> None:
    """Let the attention of a twin, whose positions stand still, run as `Heads` where that is the same."""
    modules = [module for module in body.modules() if Heads.stands_for(module)]
    weight, kernel = body.get_input_embeddings().weight, native_kernel()
    if not modules or not weight.is_cpu or isinstance(kernel, str):
        return
    trials = [_Trial(Heads(module), kernel) for module in modules]
    for module, trial in zip(modules, trials, strict=True):
        module.forward = trial
    try:
        with torch.no_grad():
            ids_BT = torch.tensor([[len(weight) // 3], [2 * len(weight) // 3]])
            layers = body.config.get_text_config(decoder=True).num_hidden_layers
            run(body, ids_BT, [0] * len(ids_BT), [_Witness((), 0) for _ in range(layers)], None)
    finally:
        for module, trial in zip(modules, trials, strict=True):
            del module.forward
            if trial.agree:
                module.forward = trial.shortcut
