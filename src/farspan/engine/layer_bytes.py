"""How many bytes the memory of one layer takes."""

from __future__ import annotations

from farspan.cache.columns import row_bytes
from farspan.engine.layer import LayerMemory


def by_tier(layer: LayerMemory) -> dict[str, int]:
    """Bytes of keys, values and index in each tier, with those that it shares with a parent."""
    amounts = {"device": layer.sinks.tokens.nbytes + layer.recent.tokens.nbytes + _noted(layer), "host": 0, "disk": 0}
    for arena in layer.arenas.values():
        amounts["device"] += arena.slots.nbytes
        for tier, rows in arena.rows_in().items():
            amounts[tier] += rows * row_bytes(arena.columns)
    return amounts


def own(layer: LayerMemory) -> int:
    """Bytes in memory that it shares with no parent, with the room that it has for what is to come."""
    arenas = sum(arena.own_bytes() for arena in layer.arenas.values())
    return layer.sinks.nbytes + layer.recent.nbytes + _noted(layer) + arenas


def _noted(layer: LayerMemory) -> int:
    return sum(note.nbytes for note in layer.notes.values()) + (0 if layer.pool is None else layer.pool.nbytes())
