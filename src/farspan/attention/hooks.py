"""What others have hung on modules: it runs when a module is called, so nothing may stand in for that call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn
from torch.nn.modules import module as every


def hooks_of(modules: Iterable[nn.Module]) -> list[Mapping[int, Callable[..., Any]]]:
    """The forward hooks of these and those of every module, in mappings that are filled when hooks are added."""
    own = [hooks for module in modules for hooks in (module._forward_hooks, module._forward_pre_hooks)]
    return [every._global_forward_hooks, every._global_forward_pre_hooks, *own]
