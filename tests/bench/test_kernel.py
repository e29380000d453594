"""The rows of `farspan bench kernel`: medians, ratios and shares of what was measured, not how fast this machine is."""

from __future__ import annotations

import time

import pytest
import torch

from farspan.bench import kernel
from farspan.errors import FarspanError


def test_a_row_for_each_dtype_and_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(kernel, "read_bandwidth", lambda _: asked.append(torch.get_num_threads()) or 2e9)
    try:
        torch.set_num_threads(2)
        rows = list(kernel.kernel_speeds(300, 4, 2, 16, rounds=1))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    names = [(row.dtype, row.threads) for row in rows]
    assert names == [("float32", 1), ("float32", 2), ("bfloat16", 1), ("bfloat16", 2)]
    assert asked == [1, 2, 1, 2]


def test_shares_and_ratios_are_of_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four ways take 1, 2, 12 and 3 ms; the machine is busy in one round of three, and in the first, which warms up."""
    took = [*[9.0] * 4, 1.0, 2.0, 12.0, 3.0, *[50.0] * 4, 1.0, 2.0, 12.0, 3.0]
    times = iter([at for one in took for at in (0.0, one / 1e3)])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(kernel, "read_bandwidth", lambda _: 102.4e6)
    monkeypatch.setattr(kernel, "DTYPES", (torch.float32,))
    (row,) = kernel.kernel_speeds(400, 4, 2, 8, rounds=3)
    assert (row.ms, row.turned_ms, row.sdpa_ms, row.folded_ms) == (1.0, 2.0, 12.0, 3.0)
    assert (row.vs_sdpa, row.most_vs_sdpa, row.vs_folded) == (12.0, 24.0, 3.0)
    assert row.gb_per_s == 0.05 and row.bandwidth_share == 0.5


def test_all_ways_attend_to_the_same_keys() -> None:
    k_GSD, v_GSD = torch.randn(2, 2, 300, 16)
    q_GMD = torch.randn(2, 3, 16)
    runs = kernel._runs(k_GSD, v_GSD)
    found, _ = kernel.attend_runs(q_GMD, runs, kernel.Scoring(0.25))
    wanted = torch.nn.functional.scaled_dot_product_attention(q_GMD, k_GSD, v_GSD)
    torch.testing.assert_close(found.out_NME, wanted)
    assert kernel._runs(k_GSD, v_GSD, turned=True).k_NKD.shape == (2, 300, 16)


def test_keys_are_turned_where_they_lie() -> None:
    turn = kernel._runs(*torch.empty(2, 2, 300, 16, device="meta"), turned=True).turn
    assert turn is not None and turn.rope.inv_freq_F.device == turn.position_NX.device == torch.device("meta")


def test_more_keys_than_there_is_memory_for() -> None:
    with pytest.raises(FarspanError, match=r"107,374,182,400 keys and values take 400TiB, and cpu has .*GiB"):
        next(kernel.kernel_speeds(100 << 30, 32, 8, 64))
