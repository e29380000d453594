"""One step of one stream, or of several at once, so that the model's weights are read once for all of them.

Nothing else in farspan runs a model, but for the looks of `scores`, which keep nothing.

Shapes: B streams, T tokens of a chunk, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from farspan.attention.adapter import Chunk
from farspan.engine.watch import Watch

if TYPE_CHECKING:
    from farspan.engine.kv import KVMemory

Logits = Literal["last", "all"]


class Step(NamedTuple):
    """What a memory takes in next, and whether it is part of an answer, whose keys `watch` then sees."""

    memory: KVMemory
    ids: list[int]
    answering: bool = False
    watch: Watch | None = None


class Runner(Protocol):
    """Who runs what goes through a model that several may share."""

    def run(self, step: Step, logits: Logits | None) -> Tensor | None:
        """Run one step: logits `[1, V]`, `[T, V]` or None."""
        ...

    def give_way(self) -> None:
        """Let others have the model first; called before every chunk that is no step, and in long work without it."""
        ...


class AtOnce:
    """The `Runner` of who shares the model with nobody: every step by itself, at once."""

    def run(self, step: Step, logits: Logits | None) -> Tensor | None:
        """Run one step."""
        return run_steps([step], logits)[0]

    def give_way(self) -> None:
        """There is nobody else."""


AT_ONCE = AtOnce()


@torch.inference_mode()
def run_steps(steps: Sequence[Step], logits: Logits | None) -> list[Tensor | None]:
    """Run a chunk of every stream, all of one model and one length, through the model: logits `[1, V]`, `[T, V]` or
    None of each.

    Whatever goes wrong, no chunk counts as seen, and what was to be computed next comes out the same; StorageFull when
    a lower tier of one of them takes no more.
    """
    hosted = steps[0].memory.settings.hosted
    assert all(step.memory.settings.hosted is hosted and len(step.ids) == len(steps[0].ids) for step in steps)
    with ExitStack() as taking:
        chunks = []
        for step in steps:
            start = step.memory.seen
            handlers = taking.enter_context(step.memory.taking(len(step.ids), step.answering, step.watch))
            chunks.append(Chunk(torch.tensor(step.ids, device=hosted.device), start, handlers))
        wanted: Logits | None = "all" if any(step.memory.surprised for step in steps) else logits
        logits_BTV = hosted.forward_together(chunks, wanted)
        for step, logits_TV in zip(steps, () if logits_BTV is None else logits_BTV, strict=logits_BTV is not None):
            step.memory.took(step.ids, logits_TV)
    if logits is None or logits_BTV is None:
        return [None] * len(steps)
    return list(logits_BTV if logits == "all" else logits_BTV[:, -1:])
