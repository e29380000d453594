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
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.blockfile import BlockFile
from farspan.engine.allocation import Allocator, LayerShare, Share
from farspan.engine.layer import LayerMemory, under
from farspan.engine.surprise import Surprise
from farspan.engine.watch import Watch
from farspan.methods import Method
from farspan.types import Budget, Counts

Logits = Literal["last", "all"]
_SURPRISE = "surprise."


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
        shares = allocator.share(settings.budget)
        like = torch.empty(0, dtype=settings.hosted.dtype, device=settings.hosted.device)
        self.layers = [
            LayerMemory(share.facts, share.plan, share.capacity, self._arenas(number, share, state, parent), like)
            for number, share in enumerate(shares)
        ]
        self._surprise = Surprise(self._plan, settings.hosted.vocab_size) if self._plan.segment.surprise else None
        if state is not None and tensors is not None:
            for number, layer in enumerate(self.layers):
                layer.load_state(state["layers"][number], tensors, f"{number}.")
            self._restore_surprise(tensors)
        if parent is not None:
            self._restore_surprise(parent._surprise_state())
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
        edges = [layer.plan.dense for layer in self.layers] + [self._plan.frequencies.begins or 0]
        return min([limit, *(edge - self.seen for edge in edges if edge > self.seen)])

    def step(
        self, ids: list[int], logits: Logits | None, *, answering: bool = False, watch: Watch | None = None
    ) -> Tensor | None:
        """Run one chunk of at most `limit` tokens through the model: logits `[1, V]`, `[T, V]` or None.

        Whatever goes wrong, the chunk counts as not seen, and what was to be computed next comes out the same;
        StorageFull when a lower tier takes no more.
        """
        assert 0 < len(ids) <= self.limit(answering)
        start = self.seen
        mark_S = None if self._surprise is None else self._surprise.mark_S
        for layer in self.layers:
            layer.prepare(len(ids), mark_S)
        ropes = self._ropes(start + len(ids))
        for layer in self.layers:
            layer.rope = ropes[layer.facts.index]
            layer.settle(len(ids), mark_S)
            layer.answering, layer.watch = answering, watch if layer.facts.sliding_window is None else None
        if self._surprise is not None:
            self._surprise.settle(len(self._governed[0].recent))
        try:
            return self._forward(ids, start, logits)
        except BaseException:
            for layer in self.layers:
                layer.undo(start)
            raise

    def _forward(self, ids: list[int], start: int, logits: Logits | None) -> Tensor | None:
        hosted = self.settings.hosted
        ids_T = torch.tensor(ids, device=hosted.device)
        if self._surprise is None:
            return hosted.forward(ids_T, start, self.layers, logits)
        logits_TV = hosted.forward(ids_T, start, self.layers, "all")
        assert logits_TV is not None
        self._surprise.take(ids, logits_TV, self._governed)
        return {"all": logits_TV, "last": logits_TV[-1:], None: None}[logits]

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
            for arena in layer.arenas.values():
                arena.write_to_file(arena.length)

    def copy_blocks_to(self, folder: Path) -> None:
        """Write every block into files in another folder."""
        for number, layer in enumerate(self.layers):
            for name, arena in layer.arenas.items():
                file = BlockFile(folder, _stem(number, name), arena.columns, arena.first)
                arena.copy_to(file)
                file.close()

    def state_dict(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Plain values for JSON, and tensors whose size does not grow with the text."""
        tensors: dict[str, Tensor] = {}
        layers = []
        for number, layer in enumerate(self.layers):
            plain, held = layer.state_dict()
            layers.append(plain)
            tensors.update({f"{number}.{name}": value for name, value in held.items()})
        return {"layers": layers}, tensors | self._surprise_state()

    def close(self) -> None:
        """Close the files."""
        for layer in self.layers:
            for arena in layer.arenas.values():
                arena.close()

    def _ropes(self, length: int) -> dict[int, Rope | None]:
        """How every layer turns positions once `length` tokens have been seen; layers of a kind share one."""
        ropes: dict[int, Rope | None] = {}
        made: dict[tuple[str | None, bool], Rope | None] = {}
        for layer in self.layers:
            facts = layer.facts
            kind = facts.rope_kind, facts.sliding_window is None
            if kind not in made:
                own = self.settings.hosted.rope(facts.index, length)
                made[kind] = None if own is None else layer.plan.rope(own, length)
            ropes[facts.index] = made[kind]
        return ropes

    @property
    def _governed(self) -> list[LayerMemory]:
        """The layers that the method governs; in a model of sliding windows only, all of them."""
        return [layer for layer in self.layers if layer.facts.sliding_window is None] or self.layers

    def _surprise_state(self) -> dict[str, Tensor]:
        state = {} if self._surprise is None else self._surprise.state_dict()
        return {f"{_SURPRISE}{name}": value for name, value in state.items()}

    def _restore_surprise(self, tensors: Mapping[str, Tensor]) -> None:
        if self._surprise is not None:
            self._surprise.load_state(under(tensors, _SURPRISE))

    def _arenas(
        self, number: int, share: LayerShare, state: Mapping[str, Any] | None, parent: KVMemory | None
    ) -> dict[str, Arena]:
        if parent is not None:
            theirs = parent.layers[number].arenas
            return {name: self._forked(number, name, own, theirs[name]) for name, own in share.arenas.items()}
        fresh = {"first": 0, "rows": 0, "lost_rows": 0}
        return {
            name: self._arena(number, name, share, fresh if state is None else state["layers"][number]["arenas"][name])
            for name in share.arenas
        }

    def _arena(self, number: int, name: str, share: LayerShare, saved: Mapping[str, int]) -> Arena:
        own, device, may_drop = share.arenas[name], self.settings.hosted.device, not share.plan.select.needs_all
        if own.tiers.disk == 0:
            return Arena(own.columns, own.tiers, device, may_drop=may_drop)
        file = self._file(number, name, own, saved["first"], saved["rows"] - saved["first"])
        arena = Arena(own.columns, own.tiers, device, file, may_drop=may_drop)
        arena.restore(saved["lost_rows"])
        return arena

    def _forked(self, number: int, name: str, own: Share, theirs: Arena) -> Arena:
        return theirs.fork(own.fork, self._file(number, name, own, theirs.length))

    def _file(self, number: int, name: str, own: Share, origin: int, rows: int = 0) -> BlockFile:
        return BlockFile(self.folder, _stem(number, name), own.columns, origin, rows, nameless=not self._lasting)


def _stem(number: int, name: str) -> str:
    return f"{number:03d}.{name}"
