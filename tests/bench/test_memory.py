"""Peaks of memory: of reading alone, and of tensors on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from farspan.bench import memory, resident
from farspan.engine import Session

PEAKS = """
import json, mmap
from farspan.bench import resident

def touch(amount):
    with mmap.mmap(-1, amount) as pages:
        for at in range(0, amount, 4096):
            pages[at] = 1

touch(300 << 20)
loading = resident.peak_bytes() - resident.own_bytes()
forgot = resident.forget_peak()
before, loaded = resident.peak_bytes(), resident.own_bytes()
touch(100 << 20)
print(json.dumps([loading, forgot, before - loaded, resident.peak_bytes() - loaded]))
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


@linux
def test_the_peak_of_loading_does_not_hide_that_of_reading() -> None:
    """A process that takes 300 MiB for a moment, and later 100."""
    run = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    loading, forgot, before, reading = json.loads(run.stdout)
    assert loading > 290 << 20 and forgot
    assert before < 10 << 20
    assert 90 << 20 < reading < 120 << 20


@linux
def test_resident_memory_of_a_process() -> None:
    found = resident.resident_bytes(os.getpid())
    assert found is not None and 0.8 < found / resident.own_bytes() < 1.25
    assert resident.resident_bytes(1 << 30) is None


def test_without_proc_the_peak_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resident, "_PROC", tmp_path / "nowhere")
    assert not resident.forget_peak()
    assert resident.own_bytes() == resident.peak_bytes() > 1 << 20


def test_on_a_gpu_tensors_are_counted_from_when_the_model_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, torch.device]] = []
    for name, value in (("reset_peak_memory_stats", None), ("memory_allocated", 5), ("max_memory_allocated", 9)):
        monkeypatch.setattr(
            torch.cuda, name, lambda device, name=name, value=value: (asked.append((name, device)), value)[1]
        )
    device = torch.device("cuda:1")
    tensors = resident.Tensors(device)
    assert (tensors.now(), tensors.peak()) == (5, 9)
    names = ("reset_peak_memory_stats", "memory_allocated", "max_memory_allocated")
    assert asked == [(name, device) for name in names]
    assert resident.Tensors(torch.device("cpu")).now() is resident.Tensors(torch.device("cpu")).peak() is None


def test_the_peak_is_forgotten_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    read = Session.read
    monkeypatch.setattr(Session, "read", lambda self, what: (done.append("read"), read(self, what))[1])
    for name, value in (("forget_peak", True), ("own_bytes", 7), ("peak_bytes", 11)):
        monkeypatch.setattr(memory, name, lambda name=name, value=value: (done.append(name), value)[1])
    monkeypatch.setattr(memory, "seconds_of", lambda call, device: (call(), done.append(str(device)), 2.0)[2])
    row = memory.measure({"tokens": 64, "method": "streaming", "budget": "16MiB"})
    assert done == ["forget_peak", "own_bytes", "read", "cpu", "peak_bytes"]
    assert (row["peak_bytes"], row["loaded_bytes"], row["seconds"], row["device_peak_bytes"]) == (11, 7, 2.0, None)
    assert row["tokens_per_s"] == round(row["context"]["seen"] / 2, 1)
