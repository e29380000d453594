"""How counts and sources are told in one line each."""

from __future__ import annotations

from collections.abc import Iterable

from farspan.types import TIERS, Counts, Source, format_bytes

QUOTE_WIDTH = 240
LEAST_WEIGHT = 0.01


def account(method: str, counts: Counts) -> str:
    """The line that says what became of the text: seen = kept + stored + dropped."""
    tokens = [f"{name} {getattr(counts, name):,}" for name in ("seen", "kept", "stored", "fetched", "dropped")]
    used = [
        f"{tier} {format_bytes(counts.kv_bytes[tier])}"
        for tier in TIERS
        if tier == "device" or counts.kv_bytes.get(tier)
    ]
    exact = ["exact"] if counts.exact else []
    return " | ".join([f"context: {method}", *tokens, ", ".join(used), *exact])


def source_lines(sources: Iterable[Source]) -> list[str]:
    """One line a source: where it is, its weight, and its text; those that hardly weigh anything are left out."""
    return [
        f"  {source.file}:{source.line}  {source.weight:.2f}  {one_line(source.text)!r}"
        for source in sources
        if source.weight >= LEAST_WEIGHT
    ]


def one_line(text: str, width: int = QUOTE_WIDTH) -> str:
    """The text with its white space folded, cut to `width` characters."""
    folded = " ".join(text.split())
    return folded if len(folded) <= width else folded[: width - 3] + "..."
