"""The KV memory of a session: all its layers, moved on one chunk at a time.

Nothing else in farspan runs a model. It knows nothing of text.

Shapes: T tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from farspan.attention.adapter import HostedModel
from farspan.cache.arena import Arena
from farspan.cache.blockfile import BlockFile
from farspan.engine.allocation import Allocator, LayerShare
from farspan.engine.layer import LayerMemory
from farspan.engine.watch import Watch
from farspan.methods import Method
from farspan.types import Budget, Counts

Logits = Literal["last", "all"]


@dataclass(frozen=True, slots=True)
class KVSettings:
    """What a KV memory is made for."""

    hosted: HostedModel
    method: Method
    budget: Budget
    chunk: int


class KVMemory:
    """All layers of one growing stream. `folder` takes the disk tier, if the budget has one.

    With `state`, as `state_dict` gave it, it continues from files in that folder. Files that are not `lasting` are
    gone when the process ends.
    """

    def __init__(
        self,
        settings: KVSettings,
        folder: Path,
        state: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Tensor] | None = None,
        parent: KVMemory | None = None,
        lasting: bool = False,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self._lasting = lasting
        self._plan = settings.method.resolve(settings.hosted.window)
        allocator = Allocator(
            settings.hosted.facts,
            self._plan,
            settings.chunk,
            dtype=settings.hosted.dtype,
            device=settings.hosted.device,
            bytes_per_token=settings.hosted.bytes_per_token,
        )
        shares, self._fork_tiers = allocator.share(settings.budget)
        like = torch.empty(0, dtype=settings.hosted.dtype, device=settings.hosted.device)
        self.layers = [
            LayerMemory(share.facts, share.plan, share.capacity, self._arena(number, share, state, parent), like)
            for number, share in enumerate(shares)
        ]
        if state is not None and tensors is not None:
            for number, layer in enumerate(self.layers):
                layer.load_state(state["layers"][number], tensors, f"{number}.")
        if parent is not None:
            for layer, theirs in zip(self.layers, parent.layers, strict=True):
                layer.copy_from(theirs)

    @property
    def seen(self) -> int:
        """Tokens that the model has seen."""
        return self.layers[0].seen

    @property
    def exact(self) -> bool:
        """Whether everything so far was computed as full attention would."""
        return all(layer.exact for layer in self._governed)

    def limit(self, answering: bool) -> int:
        """How many tokens the next step may take at most."""
        most = self._plan.select.cadence(answering)
        limit = self.settings.chunk if most is None else min(self.settings.chunk, most)
        for layer in self.layers:
            if self.seen < layer.plan.dense:
                limit = min(limit, layer.plan.dense - self.seen)
        return limit

    def step(
        self, ids: list[int], logits: Logits | None, *, answering: bool = False, watch: Watch | None = None
    ) -> Tensor | None:
        """Run one chunk of at most `limit` tokens through the model: logits `[1, V]`, `[T, V]` or None.

        Whatever goes wrong, the chunk counts as not seen, and what was to be computed next comes out the same;
        StorageFull when a lower tier takes no more.
        """
        assert 0 < len(ids) <= self.limit(answering)
        start, hosted = self.seen, self.settings.hosted
        for layer in self.layers:
            layer.prepare(len(ids))
        for layer in self.layers:
            layer.settle(len(ids))
            layer.rope = hosted.rope(layer.facts.index, start + len(ids))
            layer.answering, layer.watch = answering, watch if layer.facts.sliding_window is None else None
        try:
            return hosted.forward(torch.tensor(ids, device=hosted.device), start, self.layers, logits)
        except BaseException:
            for layer in self.layers:
                layer.undo(start)
            raise

    def counts(self) -> Counts:
        """Where the tokens are, as the first layer that the method governs has it, and the bytes of all layers."""
        layer = self._governed[0]
        kv_bytes = {"device": 0, "host": 0, "disk": 0}
        for each in self.layers:
            for tier, amount in each.kv_bytes().items():
                kv_bytes[tier] += amount
        stored = layer.stored()
        return Counts(
            seen=layer.seen,
            kept=layer.seen - stored - layer.lost(),
            stored=stored,
            fetched=layer.fetched,
            dropped=layer.lost(),
            exact=self.exact,
            kv_bytes=kv_bytes,
        )

    def fork(self, folder: Path) -> KVMemory:
        """A memory that begins with everything in this one; the two grow apart, and share the blocks there are now."""
        return KVMemory(self.settings, folder, parent=self)

    def flush(self) -> None:
        """Write every block to the disk tier, as a commit needs it."""
        for layer in self.layers:
            if layer.arena is not None:
                layer.arena.write_to_file(layer.arena.length)

    def copy_blocks_to(self, folder: Path) -> None:
        """Write every block into files in another folder."""
        for number, layer in enumerate(self.layers):
            if layer.arena is not None:
                file = BlockFile(folder, _stem(number), layer.arena.columns, layer.arena.first)
                layer.arena.copy_to(file)
                file.close()

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values for JSON, and tensors whose size does not grow with the text."""
        tensors: dict[str, Tensor] = {}
        layers = []
        for number, layer in enumerate(self.layers):
            plain, held = layer.state_dict()
            layers.append(plain)
            tensors.update({f"{number}.{name}": value for name, value in held.items()})
        return {"layers": layers}, tensors

    def close(self) -> None:
        """Close the files."""
        for layer in self.layers:
            if layer.arena is not None:
                layer.arena.close()

    @property
    def _governed(self) -> list[LayerMemory]:
        """The layers that the method governs; in a model of sliding windows only, all of them."""
        return [layer for layer in self.layers if layer.facts.sliding_window is None] or self.layers

    def _arena(
        self, number: int, share: LayerShare, state: Mapping[str, Any] | None, parent: KVMemory | None
    ) -> Arena | None:
        if not share.columns:
            return None
        saved = state["layers"][number] if state is not None else {"first": 0, "rows": 0, "lost_rows": 0}
        device = self.settings.hosted.device
        may_drop = not share.plan.select.needs_all
        if parent is not None:
            theirs = parent.layers[number].arena
            assert theirs is not None
            return theirs.fork(self._fork_tiers, self._file(number, share, theirs.length))
        if share.tiers.disk == 0:
            return Arena(share.columns, share.tiers, device, may_drop=may_drop)
        file = self._file(number, share, saved["first"], saved["rows"] - saved["first"])
        arena = Arena(share.columns, share.tiers, device, file, may_drop=may_drop)
        arena.restore(saved["lost_rows"])
        return arena

    def _file(self, number: int, share: LayerShare, origin: int, rows: int = 0) -> BlockFile:
        return BlockFile(self.folder, _stem(number), share.columns, origin, rows, nameless=not self._lasting)


def _stem(number: int) -> str:
    return f"{number:03d}"
