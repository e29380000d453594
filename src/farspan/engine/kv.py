"""The KV memory of a session: all its layers, moved on one chunk at a time.

It knows nothing of text.

Shapes: T tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from farspan.attention.adapter import LayerHandler
from farspan.attention.rope import Rope
from farspan.cache.arena import Arena
from farspan.cache.blockfile import BlockFile
from farspan.engine import layer_bytes
from farspan.engine.allocation import Allocator, LayerShare, Share, governed
from farspan.engine.counting import counted
from farspan.engine.heads import by_plan, check_same_heads, handlers
from farspan.engine.highlight import Highlight
from farspan.engine.layer import LayerMemory, Told
from farspan.engine.layer_state import under
from farspan.engine.once import Once
from farspan.engine.settings import KVSettings
from farspan.engine.stepping import Logits, Step
from farspan.engine.surprise import Surprise
from farspan.engine.uninterrupted import uninterrupted
from farspan.engine.watch import Watch
from farspan.errors import SessionError
from farspan.methods.parts.combine.steering import Steering
from farspan.methods.parts.plan import HeadsPlan, Plan
from farspan.types import Counts

_SURPRISE = "surprise."


class KVMemory:
    """All layers of one growing stream. `folder` takes the disk tier, if the budget has one.

    `highlight` says towards which tokens answers are steered; a fork does not inherit it.

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
        self.settings, self.folder = settings, folder
        self.highlight: Highlight | None = None
        self._lasting = lasting
        hosted = settings.hosted
        self._plans: list[list[HeadsPlan]] = settings.method.plans(hosted) if parent is None else parent._plans
        allocator = Allocator(
            hosted.facts,
            self._plans,
            settings.chunk,
            dtype=hosted.dtype,
            device=hosted.device,
            bytes_per_token=hosted.bytes_per_token,
        )
        shares = allocator.share(settings.budget)
        if state is not None:
            check_same_heads([share.holder for share in shares], state)
        like = torch.empty(0, dtype=hosted.dtype, device=hosted.device)
        self.layers = [
            LayerMemory(*share.holder, share.capacity, self._arenas(number, share, state, parent), like)
            for number, share in enumerate(shares)
        ]
        if self.steering is not None:
            self.steering.heads.check([facts.q_heads for facts in hosted.facts])
        if parent is None:
            self._ropes(1 + max(layer.plan.frequencies.begins or 0 for layer in self.layers))
        self._handlers = handlers(self.layers)
        groups = by_plan(governed(self.layers))
        self._surprises = [Surprise(own, hosted.vocab_size) for plan, own in groups.items() if plan.surprise]
        for own in groups.values():
            for layer in own:
                layer.peers = [other.carried for other in own]
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
        return self.highlight is None and all(layer.exact for layer in governed(self.layers))

    @property
    def steering(self) -> Steering | None:
        """What the method makes of a highlighted text."""
        steered = (layer.plan.combine.steering for layer in self.layers)
        return next((steering for steering in steered if steering is not None), None)

    def limit(self, answering: bool) -> int:
        """How many tokens the next step may take at most."""
        plans = [layer.plan for layer in self.layers]
        cadences = [most for plan in plans if (most := plan.select.cadence(answering)) is not None]
        cadences += [plan.pool.chunk for plan in plans if plan.pool is not None]
        edges = [edge for plan in plans for edge in (plan.dense, plan.frequencies.begins or 0)]
        return min([self.settings.chunk, *cadences, *(edge - self.seen for edge in edges if edge > self.seen)])

    def step(
        self, ids: list[int], logits: Logits | None, *, answering: bool = False, watch: Watch | None = None
    ) -> Tensor | None:
        """Run one chunk of at most `limit` tokens through the model: logits `[1, V]`, `[T, V]` or None.

        Whatever goes wrong, the chunk counts as not seen, and what was to be computed next comes out the same;
        StorageFull when a lower tier takes no more.
        """
        return self.settings.runner.run(Step(self, ids, answering, watch), logits)

    @contextmanager
    def taking(self, tokens: int, answering: bool, watch: Watch | None) -> Iterator[Sequence[LayerHandler]]:
        """Make ready for a chunk of so many tokens, which these handlers then attend to; undo it where that fails."""
        assert 0 < tokens <= self.limit(answering)
        self._check_whole()
        start = self.seen
        told = {layer: surprise.told for surprise in self._surprises for layer in surprise.layers}
        for layer in self.layers:
            layer.prepare(tokens, told.get(layer))
        ropes, once = self._ropes(start + tokens), Once()
        for layer, rope in zip(self.layers, ropes, strict=True):
            layer.rope, layer.once = rope, once
            layer.answering, layer.watch = answering, watch if layer.facts.sliding_window is None else None
            layer.highlight = self.highlight if answering else None
        self._settle(tokens, told)
        surprise_state = self._surprise_state()
        try:
            yield self._handlers
        except BaseException:
            for layer in self.layers:
                layer.undo(start)
            self._restore_surprise(surprise_state)
            raise

    def _settle(self, tokens: int, told: Mapping[LayerMemory, Told]) -> None:
        """Move what must leave for so many tokens, in all layers."""
        with uninterrupted():
            for layer in self.layers:
                layer.settle(tokens, told.get(layer))
            for surprise in self._surprises:
                surprise.settle()

    def _check_whole(self) -> None:
        """Raise SessionError where a layer failed with its tokens half moved."""
        if not all(layer.whole for layer in self.layers):
            raise SessionError(
                "the session failed while it made room for new tokens, and some of its own may be gone",
                fix="open it again: its folder stands at the last commit",
            )

    @property
    def surprised(self) -> bool:
        """Whether the method looks at how much each token surprised the model, and so at all logits."""
        return bool(self._surprises)

    def took(self, ids: list[int], logits_TV: Tensor) -> None:
        """Note what the model expected at each token of a chunk."""
        for surprise in self._surprises:
            surprise.take(ids, logits_TV)

    @property
    def counts_turns(self) -> bool:
        """Whether what the method keeps is worth less with every turn."""
        pools = (layer.plan.pool for layer in self.layers)
        return any(pool is not None and pool.by.decay != 1 for pool in pools)

    def end_turn(self) -> None:
        """A turn is over: what surprised the model until now lasts no longer than the method says."""
        for layer in self.layers:
            layer.end_turn()
        for surprise in self._surprises:
            surprise.end_turn()

    def counts(self) -> Counts:
        """Where the tokens are, and the bytes of all layers."""
        return counted(self.layers, self.seen, self.exact)

    def own_bytes(self) -> int:
        """Bytes in memory that it shares with no parent: what closing it would free."""
        return sum(map(layer_bytes.own, self.layers))

    def fork(self, folder: Path) -> KVMemory:
        """A memory that begins with everything in this one; the two grow apart, and share the blocks there are now."""
        self._check_whole()
        return KVMemory(self.settings, folder, parent=self)

    @property
    def fits_on_disk(self) -> bool:
        """Whether the disk tier may hold all blocks that there are."""
        return all(arena.fits_in_file for layer in self.layers for arena in layer.arenas.values())

    def flush(self) -> None:
        """Write every block to the disk tier, as a commit needs it."""
        self._check_whole()
        for layer in self.layers:
            for arena in layer.arenas.values():
                arena.write_to_file(arena.length)

    def copy_blocks_to(self, folder: Path) -> None:
        """Write every block into files in another folder."""
        self._check_whole()
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
            layers.append({"layer": layer.facts.index, "heads": list(layer.heads), **plain})
            tensors.update({f"{number}.{name}": value for name, value in held.items()})
        return {"layers": layers}, tensors | self._surprise_state()

    def close(self) -> None:
        """Close the files."""
        for layer in self.layers:
            for arena in layer.arenas.values():
                arena.close()

    def _ropes(self, length: int) -> list[Rope | None]:
        """How every layer turns positions once `length` tokens have been seen; layers of a kind share one."""
        made: dict[tuple[str | None, Plan], Rope | None] = {}
        for layer in self.layers:
            kind = layer.facts.rope_kind, layer.plan
            if kind not in made:
                own = self.settings.hosted.rope(layer.facts.index, length)
                made[kind] = None if own is None else layer.plan.rope(own, length)
        return [made[layer.facts.rope_kind, layer.plan] for layer in self.layers]

    def _surprise_state(self) -> dict[str, Tensor]:
        states = [surprise.state_dict() for surprise in self._surprises]
        return {
            f"{_SURPRISE}{number}.{name}": value for number, one in enumerate(states) for name, value in one.items()
        }

    def _restore_surprise(self, tensors: Mapping[str, Tensor]) -> None:
        for number, surprise in enumerate(self._surprises):
            surprise.load_state(under(tensors, f"{_SURPRISE}{number}."))

    def _arenas(
        self, number: int, share: LayerShare, state: Mapping[str, Any] | None, parent: KVMemory | None
    ) -> dict[str, Arena]:
        if parent is not None:
            theirs = parent.layers[number].arenas
            return {
                name: theirs[name].fork(own.fork, self._file(number, name, own, theirs[name].length))
                for name, own in share.arenas.items()
            }
        fresh = {"first": 0, "rows": 0, "lost_rows": 0}
        return {
            name: self._arena(number, name, share, fresh if state is None else state["layers"][number]["arenas"][name])
            for name in share.arenas
        }

    def _arena(self, number: int, name: str, share: LayerShare, saved: Mapping[str, int]) -> Arena:
        own, device, may_drop = share.arenas[name], self.settings.hosted.device, not share.holder.plan.select.needs_all
        if own.tiers.disk == 0:
            return Arena(own.columns, own.tiers, device, may_drop=may_drop)
        file = self._file(number, name, own, saved["first"], saved["rows"] - saved["first"])
        arena = Arena(own.columns, own.tiers, device, file, may_drop=may_drop)
        arena.restore(saved["lost_rows"])
        return arena

    def _file(self, number: int, name: str, own: Share, origin: int, rows: int = 0) -> BlockFile:
        return BlockFile(self.folder, _stem(number, name), own.columns, origin, rows, nameless=not self._lasting)


def _stem(number: int, name: str) -> str:
    return f"{number:03d}.{name}"
