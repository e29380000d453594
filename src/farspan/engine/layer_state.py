"""What of a layer is saved, and handed to a fork: everything but the blocks in its arenas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from farspan.engine.layer import LayerMemory

_CARRIED = "carried."
_POOL = "pool."
_NOTES = "notes."
_SINK_LOGITS = "sink_logits"


def plain_state(layer: LayerMemory) -> dict[str, Any]:
    """Values for JSON: the counts, and how many rows its arenas have."""
    arenas = {
        name: {"first": arena.first, "rows": arena.length, "lost_rows": arena.dropped}
        for name, arena in layer.arenas.items()
    }
    return {"seen": layer.seen, "dropped": layer.dropped, "fetched": layer.fetched, "arenas": arenas}


def tensor_state(layer: LayerMemory) -> dict[str, Tensor]:
    """Sinks, recent tokens, pool, logits without a value; what the selection carries, and what the parts remember."""
    held = {"sinks": layer.sinks.tokens, "recent": layer.recent.tokens}
    fields = [(name, field, value) for name, part in held.items() for field, value in part._asdict().items()]
    tensors = {f"{name}.{field}": value for name, field, value in fields if value.shape[0]}
    tensors |= {f"{_CARRIED}{name}": value for name, value in layer.carried.items()}
    if layer.pool is not None:
        tensors |= {f"{_POOL}{name}": value for name, value in layer.pool.state_dict().items()}
    if layer.sink_logits_H is not None:
        tensors[_SINK_LOGITS] = layer.sink_logits_H.detach()
    return tensors | {f"{_NOTES}{name}": value for name, value in layer.notes.items()}


def restore(layer: LayerMemory, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Let a new layer begin there."""
    layer.seen, layer.dropped, layer.fetched = plain["seen"], plain["dropped"], plain["fetched"]
    layer.carried.update(under(tensors, _CARRIED))
    if _SINK_LOGITS in tensors:
        layer.sink_logits_H = tensors[_SINK_LOGITS].to(layer.sinks.tokens.k_GTD.device)
    noted = under(tensors, _NOTES)
    layer.notes = {name: noted[name].to(note.device) for name, note in layer.notes.items()}
    if layer.pool is not None:
        layer.pool.load_state(under(tensors, _POOL))
    for name, queue in (("sinks", layer.sinks), ("recent", layer.recent)):
        queue.append(**under(tensors, f"{name}."))


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those whose names begin with `prefix`, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
