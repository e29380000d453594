"""How many bytes the memory of one layer takes."""

from __future__ import annotations

from farspan.cache.columns import row_bytes
from farspan.engine.layer import LayerMemory


def by_tier(layer: LayerMemory) -> dict[str, int]:
    """Bytes of keys, values and index in each tier, with those that it shares with a parent."""
    amounts = {"device": _loose(layer), "host": 0, "disk": 0}
    for arena in layer.arenas.values():
        amounts["device"] += arena.slots.nbytes
        for tier, rows in arena.rows_in().items():
            amounts[tier] += rows * row_bytes(arena.columns)
    return amounts


def own(layer: LayerMemory) -> int:
    """Bytes in memory that it shares with no parent."""
    return _loose(layer) + sum(arena.own_bytes() for arena in layer.arenas.values())


def _loose(layer: LayerMemory) -> int:
    """Bytes of what is in no arena."""
    noted = sum(note.nbytes for note in layer.notes.values()) + (0 if layer.pool is None else layer.pool.nbytes())
    return layer.sinks.tokens.nbytes + layer.recent.tokens.nbytes + noted
