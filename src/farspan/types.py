"""Plain values that every room of farspan shares: sizes, budgets, counts, sources, progress.

Knows nothing of models, tensors or files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from farspan.errors import BudgetError

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B|\s*tokens?|)\s*$", re.IGNORECASE)
TIERS = ("device", "host", "disk")
_NO_LIMIT = "unlimited"


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of memory, given in bytes or in tokens of KV.

    `Size.parse("512MiB")` is bytes; `Size.parse("8K")` and `"8K tokens"` are tokens; K, M, G are powers of 1024.
    """

    amount: int
    unit: str = "bytes"

    @classmethod
    def parse(cls, value: str | int | Size) -> Size:
        """Read a size; a bare `int` is bytes. Raises BudgetError for anything that is no size."""
        if isinstance(value, Size):
            return value
        if isinstance(value, int):
            if value < 0:
                raise BudgetError(f"a size of {value} bytes is negative", fix="give 0 or more, for example 512MiB")
            return cls(value)
        match = _SIZE.match(value)
        if match is None:
            raise BudgetError(f"{value!r} is not a size", fix="write bytes as 512MiB or tokens as 8K")
        number, prefix, unit = match.groups()
        amount = int(float(number) * _UNITS[prefix.upper()])
        return cls(amount, "bytes" if unit.lower().endswith("b") else "tokens")

    def in_bytes(self, bytes_per_token: int) -> int:
        """The size in bytes, for a model whose KV takes `bytes_per_token` in all layers together."""
        return self.amount if self.unit == "bytes" else self.amount * bytes_per_token

    def __str__(self) -> str:
        """The size as `parse` reads it, to the byte or token."""
        for prefix in ("T", "G", "M", "K"):
            if self.amount and self.amount % _UNITS[prefix] == 0:
                return f"{self.amount // _UNITS[prefix]}{prefix}{'iB' if self.unit == 'bytes' else ''}"
        return f"{self.amount}{'B' if self.unit == 'bytes' else ''}"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a session's KV memory may take in each tier; `None` or "unlimited" is no limit, 0 switches a tier off.

    On a CPU model the device and the host are one memory, and `host` adds to `device`.
    `Budget("32MiB")` and `Budget(device="8K")` are accepted: strings and ints go through `Size.parse`.
    """

    device: Size | None = None
    host: Size | None = None
    disk: Size | None = None

    def __init__(
        self,
        device: str | int | Size | None = None,
        host: str | int | Size | None = 0,
        disk: str | int | Size | None = None,
    ) -> None:
        for tier, value in zip(TIERS, (device, host, disk), strict=True):
            object.__setattr__(self, tier, None if value in (None, _NO_LIMIT) else Size.parse(value))

    @classmethod
    def parse(cls, value: Budget | str | int | None) -> Budget:
        """Read `"32MiB"`, `"device=32MiB,disk=4GiB"`, `"8K"` (tokens), a Budget, or None (no limit).

        Raises BudgetError when a part is no size or names no tier.
        """
        if isinstance(value, Budget):
            return value
        if value is None or isinstance(value, int):
            return cls(value)
        parts = [part.strip() for part in value.split(",")]
        if len(parts) == 1 and "=" not in parts[0]:
            return cls(parts[0])
        sizes: dict[str, str] = {}
        for part in parts:
            tier, _, size = part.partition("=")
            if tier.strip() not in TIERS or not size:
                raise BudgetError(
                    f"{part!r} in the budget names no tier", fix="write device=32MiB,host=1GiB,disk=20GiB"
                )
            if tier.strip() in sizes:
                raise BudgetError(f"the budget gives {tier.strip()} twice", fix="leave one of them out")
            sizes[tier.strip()] = size
        return cls(**sizes)

    @property
    def has_disk(self) -> bool:
        """Whether it has a disk tier."""
        return self.disk is None or self.disk.amount != 0

    def with_disk(self) -> Budget:
        """This budget, with an unlimited disk tier where it has none."""
        return Budget(self.device, self.host, self.disk if self.has_disk else None)

    def __str__(self) -> str:
        """The budget as `parse` reads it."""
        usual = Budget()
        shown = {tier: getattr(self, tier) for tier in TIERS if getattr(self, tier) != getattr(usual, tier)}
        return ",".join(f"{tier}={size or _NO_LIMIT}" for tier, size in shown.items()) or _NO_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Where every token of a session is now. `seen == kept + stored + dropped` always holds.

    `kept` lies on the device, `stored` in the host or disk tier; `fetched` adds up the tokens of KV brought back for
    attention so far. `exact` says that every answer so far equals full attention. `kv_bytes` has one entry a tier.
    Where layers differ, a token is `dropped` when none has it any more, and the layer that holds most is counted.
    """

    seen: int = 0
    kept: int = 0
    stored: int = 0
    fetched: int = 0
    dropped: int = 0
    exact: bool = True
    kv_bytes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(TIERS, 0))

    def as_dict(self) -> dict[str, Any]:
        """The counts as plain values for JSON."""
        return {
            "seen": self.seen,
            "kept": self.kept,
            "stored": self.stored,
            "fetched": self.fetched,
            "dropped": self.dropped,
            "exact": self.exact,
            "kv_bytes": dict(self.kv_bytes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A span of the user's text that an answer drew on.

    `start` and `end` are character offsets in the text of `file` (in what was extracted, of a PDF or EPUB); `line` is
    the 1-based line of `start`; `weight` is this span's share of all attention that the answer paid to the user's text.
    """

    file: str
    start: int
    end: int
    line: int
    text: str
    weight: float

    def as_dict(self) -> dict[str, Any]:
        """The source as plain values for JSON."""
        return {name: getattr(self, name) for name in ("file", "start", "end", "line", "text", "weight")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a read has come. `total_chars` is None when it cannot be known (a pipe)."""

    file: str
    tokens: int
    chars: int
    total_chars: int | None
    seconds: float
    counts: Counts


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that one answer took: `context_tokens` were in the session, `prompt_tokens` came with the question."""

    context_tokens: int
    prompt_tokens: int
    completion_tokens: int

    def as_dict(self) -> dict[str, int]:
        """The usage as plain values for JSON."""
        return {
            "context_tokens": self.context_tokens,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.context_tokens + self.prompt_tokens + self.completion_tokens,
        }


def format_bytes(amount: int) -> str:
    """Write bytes as a person reads them: `1536` is `1.5KiB`."""
    value, prefixes = float(amount), ["", "Ki", "Mi", "Gi", "Ti"]
    while value >= 1024 and len(prefixes) > 1:
        value, prefixes = value / 1024, prefixes[1:]
    return f"{value:.4g}{prefixes[0]}B"


def format_count(amount: int) -> str:
    """Write a number of tokens as a person reads it: `65536` is `64K`."""
    for prefix in ("M", "K"):
        if amount >= _UNITS[prefix] and amount % (_UNITS[prefix] // 16) == 0:
            return f"{amount / _UNITS[prefix]:g}{prefix}"
    return str(amount)
