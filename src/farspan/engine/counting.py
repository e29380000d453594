"""Where the tokens of all layers are, as one account."""

from __future__ import annotations

from collections.abc import Sequence

from farspan.engine import layer_bytes
from farspan.engine.allocation import governed
from farspan.engine.layer import LayerMemory
from farspan.types import Counts


def counted(layers: Sequence[LayerMemory], seen: int, exact: bool) -> Counts:
    """Where `seen` tokens are, and the bytes of all layers.

    Where layers or heads differ, a token is dropped when none has it any more, and it is kept or stored as those have
    it that have dropped and stored fewest; `fetched` is that of the one that fetched most.
    """
    kv_bytes = {"device": 0, "host": 0, "disk": 0}
    for each in layers:
        for tier, amount in layer_bytes.by_tier(each).items():
            kv_bytes[tier] += amount
    those = governed(layers)
    dropped, stored = min((layer.lost(), layer.stored()) for layer in those)
    return Counts(
        seen=seen,
        kept=seen - stored - dropped,
        stored=stored,
        fetched=max(layer.fetched for layer in those),
        dropped=dropped,
        exact=exact,
        kv_bytes=kv_bytes,
    )
