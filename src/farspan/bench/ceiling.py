"""What this machine can do at most: how fast it reads memory, and how fast it multiplies matrices.

Both are the best of several ways and tries, with torch's current number of threads: a ceiling that is too low would
flatter what is held against it.

Shapes: M rows, K columns.
"""

from __future__ import annotations

import torch

from farspan.attention.processor import lacks_products
from farspan.bench.clock import seconds_of

_BUFFER_BYTES = 1 << 29
_TRIES = 5
_EDGES = {"cuda": (4096, 8192)}
_CPU_EDGES = (512, 1024, 2048)


def read_bandwidth(device: torch.device | str = "cpu") -> float:
    """Bytes a second of reading a buffer that is larger than the caches."""
    x_MK = torch.ones(_BUFFER_BYTES // 4 // 4096, 4096, device=device)
    x_K, flat = torch.ones(4096, device=device), x_MK.flatten()
    ways = (x_MK.sum, x_MK.amax, lambda: x_MK @ x_K, lambda: torch.dot(*flat.chunk(2)))
    best = min(seconds_of(way, device) for way in ways for _ in range(_TRIES))
    return x_MK.nbytes / best


def matmul_rate(dtype: torch.dtype, device: torch.device | str = "cpu") -> float:
    """Operations a second, an addition and a multiplication counted as two, of the best of a few square products.

    In float32 where that is the faster way to multiply what is stored in `dtype`.
    """
    kind = torch.device(device).type
    if kind == "cpu" and lacks_products(dtype):
        dtype = torch.float32
    edges = _EDGES.get(kind, _CPU_EDGES)
    return max(_square_rate(edge, dtype, device) for edge in edges)


def _square_rate(edge: int, dtype: torch.dtype, device: torch.device | str) -> float:
    x_MK = torch.ones(edge, edge, dtype=dtype, device=device)
    return 2 * edge**3 / min(seconds_of(lambda: x_MK @ x_MK, device) for _ in range(_TRIES))
