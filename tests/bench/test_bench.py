"""What is measured beside a result: the text that is read, and the ratio of speeds."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from itertools import islice
from typing import Any

import pytest
from torch import Tensor

from farspan.bench import clock, speed, text
from farspan.engine.stream import Stream
from farspan.methods import parse
from tests.tiny import model


def test_generated_text_has_its_length_and_is_repeatable() -> None:
    pieces = list(text.generated_text(200_000))
    assert sum(map(len, pieces)) == 200_000
    assert pieces == list(text.generated_text(200_000))
    assert len(set(pieces)) == len(pieces)
    assert list(islice(text.generated_text(), len(pieces) - 1)) == pieces[:-1]


def test_speed_is_the_ratio_of_medians_beside_full_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    now, step, hiccups = 0.0, Stream.step, iter([0.0, 90.0, 0.0, 0.0])

    def timed(self: Stream, ids: list[int], *rest: Any, **options: Any) -> Tensor | None:
        nonlocal now
        now += len(ids) * (2.0 if str(self.kv.settings.method) == "full" else 0.5)
        if len(ids) > 1 and self.seen == 1000:
            now += next(hiccups, 0.0)  # the machine was busy once
        return step(self, ids, *rest, **options)

    monkeypatch.setattr(Stream, "step", timed)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    first, second = speed.speeds(model(), [parse("streaming"), parse("full")], None, 1000, rounds=3)
    assert (first.method, first.tokens, first.read_per_s, first.written_per_s) == ("streaming", 1000, 2.0, 2.0)
    assert (first.read_ratio, first.written_ratio) == (4.0, 4.0)
    assert (second.read_ratio, second.written_ratio) == (1.0, 1.0)
    assert 0 < first.kv_bytes < second.kv_bytes


def test_speed_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set going on a GPU counts for who did it: the clock waits before and after reading and writing."""
    waits: list[str] = []
    step = Stream.step

    def stepped(self: Stream, ids: list[int], *rest: Any, **options: Any) -> Tensor | None:
        waits.append("step")
        return step(self, ids, *rest, **options)

    baseline = model().session("streaming")
    baseline.read([5, 6, 7])
    monkeypatch.setattr(Stream, "step", stepped)
    monkeypatch.setattr(clock, "_wait", lambda device: waits.append(str(device)))
    speed._seconds(baseline, [8, 9])
    assert waits == ["cpu", "step", "cpu", "step", "cpu", *["step"] * speed.NEW_TOKENS, "cpu"]


def test_the_first_round_warms_up_and_calls_take_turns() -> None:
    order: list[int] = []
    calls = [lambda number=number: order.append(number) or len(order) for number in (1, 2)]
    assert list(clock.in_turns(calls, 2)) == [[3, 4], [5, 6]]
    assert order == [1, 2] * 3


FAULTS = """
import resource
from torch import empty
from farspan.process import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        empty(1 << 23).fill_(1.0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

by_default = faults()
assert keep_freed_memory()
for _ in range(4):
    faults()
print(faults() / by_default)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_freed_memory_is_used_again() -> None:
    """Tensors of 32 MiB are made of fresh pages by default, and then no more."""
    run = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 0.2
