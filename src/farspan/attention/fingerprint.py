"""Tells a model's weights from others, however they lie: quantised, say, or put aside until a layer needs them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from farspan.errors import ModelError

_NUMBERS = 64


def fingerprint(model: nn.Module, shape: str) -> str:
    """A hash of `shape`, of the name and size of every weight, and of the first of its numbers. Raises ModelError."""
    digest = hashlib.sha256(shape.encode())
    for name, value in sorted(model.state_dict().items()):
        for part in _parts(_present(model, name, value)):
            digest.update(f"{name} {tuple(part.shape)}".encode())
            digest.update(part.flatten()[:_NUMBERS].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _present(model: nn.Module, name: str, value: Any) -> Any:
    """A weight as it is, fetched if accelerate has put it aside."""
    if not getattr(value, "is_meta", False):
        return value
    owner, _, attribute = name.rpartition(".")
    module = model.get_submodule(owner)
    hook: Any = getattr(module, "_hf_hook", None)
    if hook is not None:
        hook.pre_forward(module)
        value = getattr(module, attribute)
        hook.post_forward(module, None)
    if value.is_meta:
        raise ModelError(f"the weight {name} is not loaded", fix="load the model with from_pretrained")
    return value


def _parts(value: Any) -> Iterator[Tensor]:
    """The plain tensors that a tensor is made of: itself, or what a class of quantised weights holds."""
    if hasattr(value, "__tensor_flatten__"):
        for name in value.__tensor_flatten__()[0]:
            yield from _parts(getattr(value, name))
    elif isinstance(value, Tensor):
        yield value.detach()
