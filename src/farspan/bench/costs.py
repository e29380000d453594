"""What a token costs at least: the bytes that must be read to write one, the operations to read one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from farspan.attention.experts import Experts
from farspan.bench.ceiling import matmul_rate, read_bandwidth
from farspan.engine import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the machine can do at most: bytes read, and operations, a second."""

    bytes_per_s: float
    operations_per_s: float

    @classmethod
    def measured(cls, dtype: torch.dtype, device: torch.device) -> Self:
        """The device as it is now, with torch's current number of threads."""
        return cls(bytes_per_s=read_bandwidth(device), operations_per_s=matmul_rate(dtype, device))


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of a model: bytes of the weights that every token needs, and operations of a token that is read.

    `operations_per_key` are those of one token's attention to one key, in all layers.
    """

    weight_bytes: int
    operations: int
    operations_per_key: int

    @classmethod
    def of(cls, model: Model) -> Self:
        """Count them; reading needs no language-model head, and an embedding is looked up, not multiplied. Of experts
        those count that a token is sent to.
        """
        weights = model.hosted.model
        table, head = weights.get_input_embeddings().weight, weights.get_output_embeddings().weight
        body = sum(each.numel() for each in weights.parameters() if each is not table and each is not head)
        body -= _idle(weights)
        facts = model.hosted.facts
        return cls(
            weight_bytes=(body + head.numel()) * head.itemsize,
            operations=2 * body,
            operations_per_key=sum(2 * fact.q_heads * (fact.key_dim + fact.value_dim) for fact in facts),
        )

    def writing_s(self, machine: Machine, key_bytes: float, streams: int = 1) -> float:
        """The least seconds for the next token, with so many bytes of keys and values that it attends to.

        Where several streams write together, each pays for its part of the weights.
        """
        return (self.weight_bytes / streams + key_bytes) / machine.bytes_per_s

    def reading_s(self, machine: Machine, keys: float) -> float:
        """The least seconds to read a token that attends to so many keys."""
        return (self.operations + self.operations_per_key * keys) / machine.operations_per_s


def _idle(model: nn.Module) -> int:
    """How many weights belong to experts that a token is not sent to."""
    idle = 0
    for module in filter(Experts.stands_for, model.modules()):
        layer: Any = module
        weights = sum(each.numel() for each in layer.parameters())
        idle += weights - weights * layer.config.num_experts_per_tok // layer.num_experts
    return idle
