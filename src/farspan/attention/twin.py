"""A second body over the same weights, so that hosting a model leaves the user's object as it is."""

from __future__ import annotations

import copy
import functools
from types import MethodType
from typing import Any

from torch import nn


def twin(model: Any) -> Any:
    """Copy a transformers model's modules and configurations, and share every tensor with the original.

    The twin may be given another attention implementation, rotary module or training mode and the original does not
    notice; weights that move or change in the original do so in the twin. No weight is copied.
    """
    bodies = {id(module): _shell(module) for module in model.modules()}
    renewed: dict[int, Any] = dict(bodies)
    for body in bodies.values():
        state = vars(body)
        for name, value in state.items():
            state[name] = _renew(value, renewed)
        state["_modules"] = {name: child and bodies[id(child)] for name, child in state["_modules"].items()}
        # A compiled call runs the body that it was compiled for.
        state["_compiled_call_impl"] = None
    return bodies[id(model)]


def _shell(module: nn.Module) -> Any:
    """The same attributes in a module of its own. Some refuse `copy.copy`, as those with parametrized weights do."""
    shell = object.__new__(type(module))
    vars(shell).update(vars(module))
    return shell


def _renew(value: Any, renewed: dict[int, Any]) -> Any:
    """Point what refers to a module or a configuration of the original at its copy."""
    if isinstance(value, nn.Module):
        return renewed.get(id(value), value)
    if isinstance(value, MethodType) and id(value.__self__) in renewed:
        return MethodType(value.__func__, renewed[id(value.__self__)])
    if isinstance(value, functools.partial):
        args = [_renew(arg, renewed) for arg in value.args]
        keywords = {name: _renew(arg, renewed) for name, arg in value.keywords.items()}
        return functools.partial(_renew(value.func, renewed), *args, **keywords)
    if hasattr(value, "_attn_implementation") and hasattr(value, "to_dict"):
        # One memo for all: a configuration and the text_config inside it stay one pair.
        return copy.deepcopy(value, renewed)
    return value
