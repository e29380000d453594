"""What a token costs at least: the bytes that must be read to write one, the operations to read one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from farspan.attention.experts import Experts
from farspan.attention.facts import LayerFacts
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
class KeyCost:
    """Of one key and its value in one layer: how many numbers they are, and the operations of a token that attends to
    them. A token attends to no more than `most`, where there is a sliding window.
    """

    numbers: int
    operations: int
    most: int | None = None

    @classmethod
    def of(cls, fact: LayerFacts) -> Self:
        """Those of a layer."""
        width = fact.key_dim + fact.value_dim
        return cls(numbers=fact.kv_heads * width, operations=2 * fact.q_heads * width, most=fact.sliding_window)

    def met(self, keys: float) -> float:
        """To how many of so many keys a token attends."""
        return keys if self.most is None else min(keys, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of a model: bytes of the weights that every token needs, operations of a token that is read, and what keys cost
    in each layer.
    """

    weight_bytes: int
    operations: int
    keys: tuple[KeyCost, ...]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Count them; reading needs no language-model head, and an embedding is looked up, not multiplied. Of experts
        those count that a token is sent to.
        """
        weights = model.hosted.model
        table, head = weights.get_input_embeddings(), weights.get_output_embeddings()
        body = _stored(weights) - _idle(weights)
        for each in {id(module.weight): module for module in (table, head)}.values():
            body -= _stored_as(each, each.weight)
        return cls(
            weight_bytes=(body + _stored_as(head, head.weight)).bytes,
            operations=2 * body.numbers,
            keys=tuple(map(KeyCost.of, model.hosted.facts)),
        )

    def writing_s(self, machine: Machine, keys: float, item_bytes: int, streams: int = 1) -> float:
        """The least seconds for the next token, which attends to so many keys of numbers of so many bytes.

        Where several streams write together, each pays for its part of the weights.
        """
        key_bytes = item_bytes * sum(layer.numbers * layer.met(keys) for layer in self.keys)
        return (self.weight_bytes / streams + key_bytes) / machine.bytes_per_s

    def reading_s(self, machine: Machine, keys: float) -> float:
        """The least seconds to read a token that attends to so many keys."""
        operations = self.operations + sum(layer.operations * layer.met(keys) for layer in self.keys)
        return operations / machine.operations_per_s


@dataclass(frozen=True, slots=True)
class _Stored:
    """How many weights there are, and the bytes that they are stored in."""

    numbers: int
    bytes: int

    def __add__(self, other: _Stored) -> _Stored:
        return _Stored(self.numbers + other.numbers, self.bytes + other.bytes)

    def __sub__(self, other: _Stored) -> _Stored:
        return _Stored(self.numbers - other.numbers, self.bytes - other.bytes)


def _stored(model: nn.Module) -> _Stored:
    """All weights, those that stand in several places once."""
    found = {
        id(weight): _stored_as(module, weight)
        for module in model.modules()
        for weight in module.parameters(recurse=False)
    }
    return sum(found.values(), _Stored(0, 0))


def _stored_as(module: Any, weight: Tensor) -> _Stored:
    """A weight of a module; several quantised numbers may lie in one of what a tensor says that it has."""
    is_matrix = isinstance(module, nn.Linear) and weight is module.weight
    return _Stored(module.in_features * module.out_features if is_matrix else weight.numel(), _stored_bytes(weight))


def _stored_bytes(weight: Tensor) -> int:
    """The bytes that a weight takes where it lies; a quantised one is made of several tensors."""
    if not hasattr(weight, "__tensor_flatten__"):
        return weight.nbytes
    return sum(_stored_bytes(getattr(weight, name)) for name in weight.__tensor_flatten__()[0])


def _idle(model: nn.Module) -> _Stored:
    """The weights of experts that a token is not sent to."""
    return sum(map(_idle_of, filter(Experts.stands_for, model.modules())), _Stored(0, 0))


def _idle_of(layer: Any) -> _Stored:
    whole, used, count = _stored(layer), layer.config.num_experts_per_tok, layer.num_experts
    return whole - _Stored(whole.numbers * used // count, whole.bytes * used // count)
