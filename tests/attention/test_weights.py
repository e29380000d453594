"""Weights that are no plain tensors: of their own class, made anew at every call, or put aside until a layer runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils._pytree import tree_map_only

from farspan.attention.adapter import HostedModel, host, run
from farspan.errors import ModelError
from tests.attention.families import FAMILIES
from tests.attention.test_shortcuts import ROOM, Newest

IDS = torch.arange(3, 11).unsqueeze(0)


class Bytes(Tensor):
    """A matrix in int8 with one scale. Like torchao's, it says it is of the model's dtype, and has no address."""

    codes: Tensor
    scale: Tensor

    @staticmethod
    def __new__(cls, codes: Tensor, scale: Tensor) -> Any:
        return Tensor._make_wrapper_subclass(cls, codes.shape, dtype=scale.dtype)  # type: ignore[attr-defined]

    def __init__(self, codes: Tensor, scale: Tensor) -> None:
        self.codes, self.scale = codes, scale

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scale"], None

    def numbers(self) -> Tensor:
        return self.codes.to(self.scale.dtype) * self.scale

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.detach.default:
            return Bytes(args[0].codes, args[0].scale)
        assert func not in (torch.ops.aten.view.default, torch.ops.aten.slice.Tensor), (
            "it has no such view of its codes"
        )
        return func(*tree_map_only(Bytes, Bytes.numbers, args), **(kwargs or {}))


def quantised(weight: Tensor) -> Bytes:
    scale = weight.detach().abs().max() / 127
    return Bytes((weight.detach() / scale).round().to(torch.int8), scale)


def linears(model: nn.Module) -> list[nn.Linear]:
    return [module for module in model.model.layers.modules() if isinstance(module, nn.Linear)]  # type: ignore[union-attr]


def put(model: nn.Module, made: Callable[[Tensor], Tensor]) -> None:
    """Make all weights of the layers' products anew."""
    for module in model.model.layers.modules():  # type: ignore[union-attr]
        for name, weight in list(module._parameters.items()):
            if weight is not None and weight.dim() > 1:
                setattr(module, name, nn.Parameter(made(weight), requires_grad=False))


def check_same(hosted: HostedModel, model: Any) -> None:
    """One token, which the kernel is for, and many."""
    other = host(model)
    for ids_BT in (IDS[:, :1], IDS[:, 1:3], IDS):
        logits = [logits_of(which, ids_BT) for which in (hosted, other)]
        torch.testing.assert_close(*logits, atol=10 * ROOM[other.dtype], rtol=ROOM[other.dtype])


@torch.no_grad()
def logits_of(hosted: HostedModel, ids_BT: Tensor) -> Tensor:
    logits_BTV = run(hosted._body, ids_BT, [0], [Newest((), 0) for _ in hosted.facts], "all")
    assert logits_BTV is not None
    return logits_BTV


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "qwen3-moe"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_quantised_weights_of_a_class_of_their_own_are_read_by_that_class(
    family: str, dtype: torch.dtype, when: str
) -> None:
    model, plain = (FAMILIES[family]().to(dtype) for _ in range(2))
    put(plain, lambda weight: quantised(weight).numbers())
    hosted = host(model) if when == "after" else None
    put(model, quantised)
    check_same(hosted or host(model), plain)


def normed(module: nn.Linear) -> None:
    parametrizations.weight_norm(module)
    with torch.no_grad():
        module.parametrizations.weight.original0.mul_(1.5)  # type: ignore[union-attr, operator]


def pruned(module: nn.Linear) -> None:
    prune.l1_unstructured(module, "weight", 0.5)


@pytest.mark.parametrize("change", [normed, pruned])
def test_weights_that_are_made_anew_at_every_call(change: Callable[[nn.Linear], None]) -> None:
    model, plain = FAMILIES["llama"](), FAMILIES["llama"]()
    for one, other in zip(linears(model), linears(plain), strict=True):
        change(one)
        change(other)
        if change is pruned:
            prune.remove(other, "weight")  # type: ignore[no-untyped-call]
        else:
            parametrize.remove_parametrizations(other, "weight")
    check_same(host(model), plain)


def test_a_hook_on_every_module_runs() -> None:
    model, heard = FAMILIES["llama"](), list[nn.Module]()
    hosted = host(model)
    handle = register_module_forward_hook(lambda module, *_: heard.append(module))
    try:
        logits_of(hosted, IDS[:, :1])
    finally:
        handle.remove()
    assert sum(isinstance(module, nn.Linear) for module in heard) == len(linears(model)) + 1


def test_a_fingerprint_is_of_the_numbers_in_quantised_weights() -> None:
    models = [FAMILIES["llama"]() for _ in range(3)]
    linears(models[2])[0].weight.data[0, 0] *= -1
    for model in models:
        put(model, quantised)
    same, again, other = (host(model).fingerprint for model in models)
    assert same == again != other


class Aside:
    """What accelerate hangs on a layer whose weights are put aside: it fetches them, and puts them aside again."""

    def __init__(self, module: nn.Linear) -> None:
        self.kept = dict(module._parameters)
        self.post_forward(module, None)

    def pre_forward(self, module: nn.Linear) -> None:
        module._parameters.update(self.kept)

    def post_forward(self, module: nn.Linear, output: Any) -> None:
        module.weight = nn.Parameter(module.weight.to("meta"))


def test_a_fingerprint_is_the_same_when_weights_are_put_aside() -> None:
    model = FAMILIES["llama"]()
    wanted = host(model).fingerprint
    module: Any = linears(model)[0]
    module._hf_hook = Aside(module)
    hosted = host(FAMILIES["llama"]())
    hosted.model = model
    assert hosted.fingerprint == wanted
    assert module.weight.is_meta
    del module._hf_hook, hosted.__dict__["fingerprint"]
    with pytest.raises(ModelError, match=r"q_proj\.weight is not loaded"):
        _ = hosted.fingerprint
