"""How fast one token attends to many keys, beside torch's own attention and beside what the memory gives.

All take turns on the same keys, so that whatever else the machine does hits them alike; what counts are medians.

Shapes: G KV heads, M query heads of one KV head, S keys, D width, F rotary frequencies, X runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from farspan.attention.kernels import attend_runs
from farspan.attention.rope import Rope
from farspan.attention.runs import Runs, Turn
from farspan.attention.softmax import Scoring
from farspan.bench.ceiling import read_bandwidth
from farspan.bench.clock import in_turns, seconds_of
from farspan.engine.machine import memory_of
from farspan.errors import FarspanError
from farspan.types import format_bytes

DTYPES = (torch.float32, torch.bfloat16)
_RUN = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSpeed:
    """Of `dtype` keys and `threads` threads: milliseconds of one token's attention in one layer.

    `ms` is farspan's, `turned_ms` the same with keys that are stored un-rotated and turned on the way, `sdpa_ms` that
    of torch with `enable_gqa`, `folded_ms` that of torch with the heads of a group as rows. `bandwidth_share` is what
    part that `gb_per_s` is of the speed at which memory is read here; at all of it `vs_sdpa` would be `most_vs_sdpa`.
    """

    dtype: str
    threads: int
    ms: float
    turned_ms: float
    gb_per_s: float
    bandwidth_share: float
    sdpa_ms: float
    vs_sdpa: float
    most_vs_sdpa: float
    folded_ms: float
    vs_folded: float
    read_gb_per_s: float


def kernel_speeds(
    keys: int, heads: int, kv_heads: int, width: int, *, rounds: int = 7, device: torch.device | str = "cpu"
) -> Iterator[KernelSpeed]:
    """A row for each dtype and, on the CPU, for one thread and all that torch has.

    Raises FarspanError when so many keys do not fit on the device.
    """
    _check_room(keys, kv_heads * width, torch.device(device))
    counts = sorted({1, torch.get_num_threads()} if torch.device(device).type == "cpu" else {1})
    for dtype in DTYPES:
        k_GSD, v_GSD = (torch.randn(kv_heads, keys, width, device=device).to(dtype) for _ in range(2))
        q_GMD = torch.randn(kv_heads, heads // kv_heads, width, device=device).to(dtype)
        for threads in counts:
            with _threads(threads):
                yield _measured(q_GMD, k_GSD, v_GSD, threads, rounds)


def _check_room(keys: int, numbers: int, device: torch.device) -> None:
    needed, there = 2 * keys * numbers * torch.float32.itemsize, memory_of(device)
    if needed > there:
        raise FarspanError(
            f"{keys:,} keys and values take {format_bytes(needed)}, and {device} has {format_bytes(there)}",
            fix="give fewer --keys",
        )


def _measured(q_GMD: Tensor, k_GSD: Tensor, v_GSD: Tensor, threads: int, rounds: int) -> KernelSpeed:
    scoring = Scoring(q_GMD.shape[-1] ** -0.5)
    stored, turned = _runs(k_GSD, v_GSD), _runs(k_GSD, v_GSD, turned=True)
    q_HD, k, v = q_GMD.flatten(0, 1)[None, :, None], k_GSD[None], v_GSD[None]
    ways: tuple[Callable[[], object], ...] = (
        lambda: attend_runs(q_GMD, stored, scoring),
        lambda: attend_runs(q_GMD, turned, scoring),
        lambda: scaled_dot_product_attention(q_HD, k, v, enable_gqa=True),
        lambda: scaled_dot_product_attention(q_GMD[None], k, v),
    )
    ms, turned_ms, sdpa_ms, folded_ms = _medians(ways, rounds, k_GSD.device)
    bytes_per_s, read = (k_GSD.nbytes + v_GSD.nbytes) / ms * 1e3, read_bandwidth(k_GSD.device)
    return KernelSpeed(
        dtype=str(k_GSD.dtype).removeprefix("torch."),
        threads=threads,
        ms=round(ms, 3),
        turned_ms=round(turned_ms, 3),
        gb_per_s=round(bytes_per_s / 1e9, 2),
        bandwidth_share=round(bytes_per_s / read, 3),
        sdpa_ms=round(sdpa_ms, 3),
        vs_sdpa=round(sdpa_ms / ms, 2),
        most_vs_sdpa=round(sdpa_ms / ms * read / bytes_per_s, 2),
        folded_ms=round(folded_ms, 3),
        vs_folded=round(folded_ms / ms, 2),
        read_gb_per_s=round(read / 1e9, 2),
    )


def _runs(k_GSD: Tensor, v_GSD: Tensor, *, turned: bool = False) -> Runs:
    count, keys, width = k_GSD.shape
    first_1X = torch.arange(0, keys, _RUN, device=k_GSD.device)[None]
    turn = None
    if turned:
        angles_F = 1e4 ** -(torch.arange(0, width, 2, device=k_GSD.device) / width)
        turn = Turn(Rope(angles_F), first_1X, _RUN, 1)
    heads_N = torch.arange(count, device=k_GSD.device)
    return Runs(k_GSD, v_GSD, heads_N, first_1X.expand(count, -1), _RUN, keys, turn)


def _medians(ways: tuple[Callable[[], object], ...], rounds: int, device: torch.device) -> list[float]:
    """Milliseconds of each."""
    timed = [partial(seconds_of, way, device) for way in ways]
    return [1e3 * median(taken) for taken in zip(*in_turns(timed, rounds), strict=True)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
