"""How much memory tensors take."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@contextmanager
def apart() -> Iterator[None]:
    """Let `storages` not see the tensors that there are when this begins; nor need the collector look through them."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def storages() -> Iterable[torch.UntypedStorage]:
    """The memory of all tensors that are alive."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]
    return {storage._cdata: storage for storage in (tensor.untyped_storage() for tensor in tensors)}.values()


class Meter(TorchDispatchMode):
    """Adds up the bytes of all tensors that are made while it is on, and of those that were `there` before."""

    def __init__(self, there: Iterable[torch.UntypedStorage] = ()) -> None:
        super().__init__()
        self.alive: set[int] = set()
        self.now = self.peak = 0
        for storage in there:
            self.count(storage)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor):
                self.count(value.untyped_storage())
        return out

    def count(self, storage: torch.UntypedStorage) -> None:
        """Note a storage once, and when it goes."""
        key = storage._cdata
        if key not in self.alive:
            self.alive.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.gone, key, storage.nbytes())

    def gone(self, key: int, size: int) -> None:
        """A storage was freed."""
        self.alive.discard(key)
        self.now -= size
