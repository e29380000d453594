"""What a twin's norms and gated networks run as for one token or a few: one call in the place of torch's many.

A module is known by its forward: it must be, word for word, what transformers writes in most of its models. So one
that multiplies, clips or adds anything more is left as it is, and so is a module that someone gave another forward.
What attention runs as is in `heads.py`, and whole layers in `layers.py`.

Shapes: I inputs, H hidden numbers, O outputs.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from farspan.attention.experts import Experts
from farspan.attention.hooks import hooks_of
from farspan.attention.kernels import native_kernel
from farspan.attention.linear import Linear, matrix_of
from farspan.attention.native.library import Kernel
from farspan.attention.native.product import SILU, Matrix, Norming, fits, gated, norm, norm_fits


class Shortcut(ABC):
    """Stands in for the forward of a module, which still runs what the kernel is not for, and if a part has hooks."""

    def __init__(self, module: nn.Module) -> None:
        self.own = module.forward
        self._module = module
        self._hooks = hooks_of(part for part in module.modules() if part is not module)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """What the module gives, up to rounding."""
        kernel = None if torch.is_grad_enabled() or any(self._hooks) else native_kernel()
        found = None if kernel is None or isinstance(kernel, str) else self.run(kernel, *args, **named)
        return self.own(*args, **named) if found is None else found

    @abstractmethod
    def run(self, kernel: Kernel, *args: Any, **named: Any) -> Any:
        """By the kernel; None where it cannot."""


class Norm(Shortcut):
    """Root mean square norm: `[..., I]` to `[..., I]`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self._epsilon: Any = module.variance_epsilon

    def norming(self) -> Norming:
        """What the rows are normed by."""
        weight_I = self._module._parameters["weight"]
        assert weight_I is not None
        return Norming(weight_I, self._epsilon)

    def run(self, kernel: Kernel, x: Tensor) -> Tensor | None:
        """One call for all of it."""
        by = self.norming()
        return norm(kernel, x, by) if norm_fits(x, by) else None


class OfLinears(Shortcut):
    """A shortcut past linear layers, the `NAMES` of the module."""

    NAMES: tuple[str, ...] = ()

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)
        self._layers = [module.get_submodule(name) for name in self.NAMES]

    @classmethod
    def has_parts(cls, module: nn.Module) -> bool:
        """Whether all the module's linear layers are there and run as such."""
        parts = dict(module.named_children())
        return all(type(parts.get(name)) is Linear and "forward" not in vars(parts[name]) for name in cls.NAMES)

    def matrices(self, x: Tensor) -> list[Matrix] | None:
        """The layers' weights, where the kernel can read them and `x`."""
        found = [matrix for layer in self._layers if (matrix := matrix_of(layer))]
        return found if len(found) == len(self._layers) and fits(x, *found) else None


class Gated(OfLinears):
    """Gated network: `[..., I]` to `[..., O]`."""

    NAMES = "gate_proj", "up_proj", "down_proj"

    def run(self, kernel: Kernel, x: Tensor) -> Tensor | None:
        """One call for the three products and what is between them."""
        matrices = self.matrices(x)
        return None if matrices is None else gated(kernel, x, matrices)


def hasten(body: nn.Module) -> None:
    """Let the modules of a twin that are known run as what is here; what derives from nn.Linear stays what it is."""
    for module in body.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
    for module in body.modules():
        shortcut = _shortcut(module)
        if shortcut is not None:
            module.forward = shortcut(module)


def _shortcut(module: nn.Module) -> type[Shortcut | Experts] | None:
    if _runs(module, _norm):
        return Norm
    if Experts.stands_for(module):
        return Experts
    silu = type(getattr(module, "act_fn", None)) in SILU
    return Gated if silu and _runs(module, _gated) and Gated.has_parts(module) else None


def _runs(module: nn.Module, forward: Callable[..., Any]) -> bool:
    """Whether a module's forward is this one, word for word."""
    own = getattr(type(module).forward, "__code__", None)
    return "forward" not in vars(module) and own is not None and _words(own) == _words(forward.__code__)


def names_of(module: nn.Module) -> set[str]:
    """All that a module's forward names; what is no name where someone gave it another forward or it is not Python."""
    code = None if "forward" in vars(module) else getattr(inspect.unwrap(type(module).forward), "__code__", None)
    return {"?"} if code is None else set(code.co_names)


def _words(code: Any) -> tuple[Any, ...]:
    return code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_argcount


def _norm(self: Any, hidden_states: Tensor) -> Tensor:
    input_dtype = hidden_states.dtype
    hidden_states = hidden_states.to(torch.float32)
    variance = hidden_states.pow(2).mean(-1, keepdim=True)
    hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
    return self.weight * hidden_states.to(input_dtype)  # type: ignore[no-any-return]


def _gated(self: Any, x: Tensor) -> Tensor:
    down_proj = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
    return down_proj  # type: ignore[no-any-return]  # noqa: RET504
