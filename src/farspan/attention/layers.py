"""What a twin's whole layers run as for one token: a call before attention and a call after it.

Attention and layers are tried before they are believed: two tokens, each a stream of its own, go through the body, and
what fails or does not give the same by both ways stays what it is.

Shapes: B streams, T tokens, H query heads, G KV heads, D head width, I inputs of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from farspan.attention.bridge import Port, call_of
from farspan.attention.heads import Heads
from farspan.attention.kernels import native_kernel
from farspan.attention.native.library import Kernel
from farspan.attention.native.product import after_attention, before_attention, norm_fits
from farspan.attention.probe import close
from farspan.attention.shortcuts import Gated, Norm, Shortcut, names_of

_PARTS: dict[str, type[Shortcut]] = {
    "input_layernorm": Norm,
    "self_attn": Heads,
    "post_attention_layernorm": Norm,
    "mlp": Gated,
}


class Layer(Shortcut):
    """Norm, attention and gated network of one token of each stream, the last two added to what they begin with."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        parts: list[Any] = [module.get_submodule(name).forward for name in _PARTS]
        self._first, self._heads, self._second, self._gated = parts

    @staticmethod
    def stands_for(module: nn.Module) -> bool:
        """Whether the module may be such a layer, by what its parts run as."""
        parts = dict(module.named_children())
        if parts.keys() != _PARTS.keys() or names_of(module) != _PARTS.keys():
            return False
        return all(isinstance(vars(parts[name]).get("forward"), kind) for name, kind in _PARTS.items())

    def run(
        self,
        kernel: Kernel,
        hidden_states: Tensor,
        past_key_values: Cache | None = None,
        attention_mask: Any = None,
        **extras: Any,
    ) -> Tensor | None:
        """All of the layer: `[B, 1, I]` to `[B, 1, I]`."""
        if past_key_values is None or hidden_states.shape[1] != 1:
            return None
        first, second = self._first.norming(), self._second.norming()
        heads, network = self._heads.matrices(hidden_states), self._gated.matrices(hidden_states)
        readable = norm_fits(hidden_states, first) and norm_fits(hidden_states, second)
        if heads is None or network is None or not readable:
            return None
        made = before_attention(kernel, hidden_states, first, heads[:3])
        found = self._heads.attended(made, past_key_values, attention_mask, extras)
        return after_attention(kernel, hidden_states, found, second, [heads[3], *network])


class _Trial:
    """Runs a module both ways; `agree` once they gave the same, and something."""

    def __init__(self, shortcut: Shortcut, kernel: Kernel) -> None:
        self.shortcut = shortcut
        self.agree = False
        self._kernel = kernel

    def __call__(self, *args: Any, **named: Any) -> Any:
        wanted = self.shortcut.own(*args, **named)
        self.agree = False
        with suppress(Exception):
            got = self.shortcut.run(self._kernel, *args, **named)
            self.agree = got is not None and _alike(got, wanted)
        return wanted


def _alike(got: Any, wanted: Any) -> bool:
    if isinstance(got, tuple):
        return isinstance(wanted, tuple) and _alike(got[0], wanted[0])
    return bool(wanted.any()) and close(got, wanted)


class _Witness(Port):
    """Answers with what depends on all that it is handed."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Any, extras: dict[str, Any]) -> Tensor:
        """The values, as large as queries and keys are in some directions."""
        group, call = q.shape[1] // k.shape[1], call_of(q, extras)
        k, v = (x.repeat_interleave(group, 1) for x in (k, v))
        rising_D = torch.linspace(1, 2, q.shape[-1], dtype=torch.float32, device=q.device)
        size = ((2 * q.float() + k.float()) * rising_D).sum(-1, keepdim=True) * call.scaling
        size += (call.softcap or 0.0) + (0.0 if call.sinks_H is None else call.sinks_H.view(1, -1, 1, 1))
        return (v.float() * size).to(q.dtype)


def shorten(body: Any, run: Callable[..., Any]) -> None:
    """Let attention and layers of a twin, whose positions stand still, run as is here where that is the same."""
    kernel = native_kernel()
    if isinstance(kernel, str) or not body.get_input_embeddings().weight.is_cpu:
        return
    for kind in (Heads, Layer):
        trials = {module: _Trial(kind(module), kernel) for module in body.modules() if kind.stands_for(module)}
        if trials:
            _try(body, run, trials)


def _try(body: Any, run: Callable[..., Any], trials: Mapping[nn.Module, _Trial]) -> None:
    for module, trial in trials.items():
        module.forward = trial
    table = body.get_input_embeddings().weight
    tokens = len(table)
    layers = body.config.get_text_config(decoder=True).num_hidden_layers
    try:
        with torch.no_grad():
            ids_BT = torch.tensor([[tokens // 3], [2 * tokens // 3]], device=table.device)
            run(body, ids_BT, [0] * len(ids_BT), [_Witness((), 0) for _ in range(layers)], None)
    finally:
        for module, trial in trials.items():
            del module.forward
            if trial.agree:
                module.forward = trial.shortcut
