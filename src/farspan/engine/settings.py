"""What a KV memory is made for."""

from __future__ import annotations

from dataclasses import dataclass

from farspan.attention.adapter import HostedModel
from farspan.engine.stepping import AT_ONCE, Runner
from farspan.methods import Method
from farspan.types import Budget


@dataclass(frozen=True, slots=True)
class KVSettings:
    """What a KV memory is made for, and who runs its steps."""

    hosted: HostedModel
    method: Method
    budget: Budget
    chunk: int
    runner: Runner = AT_ONCE
