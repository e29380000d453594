"""What a twin's experts run as on a CPU: each multiplies the tokens sent to it as the model's linear layers do.

transformers keeps the weights of all experts of a layer in one tensor, and says by marks on the module
(`use_experts_implementation`) in what they differ. With marks or parameters that are not known here, as those of
quantised weights, they stay what they are.

Shapes: N tokens, K experts that each is sent to, M tokens sent to one expert, I inputs, H hidden numbers, O outputs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.integrations.moe import use_experts_implementation

from farspan.attention.hooks import hooks_of
from farspan.attention.linear import kernel_for, product
from farspan.attention.native.product import SILU, Matrix, gated
from farspan.attention.native.structs import KINDS, is_plain

_MARKS = {"has_gate", "has_bias", "has_post_expert_norm", "is_transposed", "is_concatenated"}
_OTHER_ARGUMENTS = {"experts_class", "experts_interface"}
_PARAMETERS = {f"{name}{bias}" for name in ("gate_up_proj", "up_proj", "down_proj") for bias in ("", "_bias")}


class Experts:
    """Stands in for the forward of a module of experts, which still runs on a GPU and where gradients are wanted."""

    def __init__(self, module: Any) -> None:
        self.own = module.forward
        self._module = module
        by_halves = type(module)._apply_gate.__module__ == use_experts_implementation.__module__ and module.has_gate
        self._gated = by_halves and type(module.act_fn) in SILU
        self._hooks = hooks_of([module.act_fn] if self._gated else [])

    @staticmethod
    def stands_for(module: nn.Module) -> bool:
        """Whether transformers lets other code run this module, and all that sets it apart is known."""
        own, weights = vars(module), module._parameters
        marks = own.keys() & _MARKS
        if not marks or "forward" in own or own.get("_is_expert_parallel"):
            return False
        if not inspect.signature(use_experts_implementation).parameters.keys() - _OTHER_ARGUMENTS <= marks:
            return False
        return weights.keys() <= _PARAMETERS and all(each is None or each.dtype in KINDS for each in weights.values())

    def __call__(self, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
        """The sum of what each token's experts make of it, by their weights: `[N, I]`, twice `[N, K]` to `[N, I]`."""
        weights = self._module._parameters.values()
        plain = all(weight is None or is_plain(weight) for weight in weights)
        if torch.is_grad_enabled() or not plain or not hidden_states.is_cpu:
            given: Tensor = self.own(hidden_states, top_k_index, top_k_weights)
            return given
        tokens, sent = top_k_index.shape
        made = hidden_states.new_empty(tokens * sent, hidden_states.shape[-1])
        for expert, pairs_M in _by_expert(top_k_index):
            made[pairs_M] = self._answer(expert, hidden_states[pairs_M // sent])
        weighted = made.view(tokens, sent, -1) * top_k_weights.unsqueeze(-1)
        return weighted.sum(1).to(hidden_states.dtype)

    def _answer(self, expert: int, x_MI: Tensor) -> Tensor:
        """What one expert makes of the tokens sent to it: `[M, I]`."""
        module = self._module
        first = self._matrix("gate_up_proj" if module.has_gate else "up_proj", expert)
        last = self._matrix("down_proj", expert)
        if self._gated and not any(self._hooks):
            matrices = [*_halves(first), last]
            kernel = kernel_for(x_MI, *matrices)
            if kernel is not None:
                return self._normed(gated(kernel, x_MI, matrices))
        hidden = product(x_MI, first)
        hidden_MH = module._apply_gate(hidden) if module.has_gate else module.act_fn(hidden)
        return self._normed(product(hidden_MH, last))

    def _matrix(self, name: str, expert: int) -> Matrix:
        weight = getattr(self._module, name)[expert]
        bias = getattr(self._module, f"{name}_bias")[expert] if self._module.has_bias else None
        return (weight.mT if self._module.is_transposed else weight), bias

    def _normed(self, made: Tensor) -> Tensor:
        after = getattr(self._module, "has_post_expert_norm", False)
        return self._module.post_expert_norm(made) if after else made


def _by_expert(index_NK: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Every expert that a token is sent to, and which places of `index_NK`, counted row by row, send to it."""
    experts, order = index_NK.flatten().sort(stable=True)
    found, counts = experts.unique_consecutive(return_counts=True)
    yield from zip(found.tolist(), order.split(counts.tolist()), strict=True)


def _halves(matrix: Matrix) -> list[Matrix]:
    weight, bias = matrix
    biases = (None, None) if bias is None else bias.chunk(2)
    return list(zip(weight.chunk(2), biases, strict=True))
