"""Compiles the kernels for a GPU that need not be there, as a program: `python -m tests.attention.compiled 90`.

Prints a row for each of some shapes: the kernel's name, the shared memory that it takes, and how often its kind had to
be compiled so far.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget

from farspan.attention.gpu import attend, call
from farspan.attention.gpu.library import Kernels
from tests.attention.test_runs import Case, drawn

PRODUCTS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}


@dataclass(frozen=True)
class Absent:
    """A driver of one GPU that is not there."""

    target: GPUTarget

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")


@dataclass(frozen=True)
class Compiled:
    """A kernel that is compiled where it would be launched."""

    function: Any
    rows: list[tuple[str, int, int]]

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*args: Any, **options: Any) -> None:
            made = self.function.warmup(*args, grid=grid, **options)
            self.rows.append((made.name, made.metadata.shared, len(self.function.device_caches[0][0])))

        return launch


def rows_of(cases: list[Case], capability: int) -> list[tuple[str, int, int]]:
    """Meet every case once, with logits and with another memory, where it has one."""
    triton.runtime.driver.set_active(Absent(GPUTarget("cuda", capability, 32)))
    rows = list[tuple[str, int, int]]()
    kernels = Kernels(Compiled(attend.attend, rows), Compiled(attend.join, rows), PRODUCTS, True, triton.__version__)
    for case in cases:
        q_NMD, runs, scoring = drawn(case)
        asked = call.Asked(q_NMD, runs, scoring.scale, scoring.softcap, logits=case.softcap is not None)
        call.attend_together(kernels, [asked], torch.zeros(q_NMD.shape[:2].numel()))
    return rows


WIDE = {"key_width": 128, "value_width": 128, "frequencies": 64, "dtype": torch.bfloat16}
WIDEST = WIDE | {"key_width": 256, "value_width": 256, "frequencies": 128, "dtype": torch.float16}
CASES = [
    Case(**WIDE),
    Case(**WIDE, runs=7, length=20, searches=2, rows=3),
    Case(**WIDEST, rows=call.MOST_ROWS, memories=2, skips=True, softcap=30.0),
    Case(**WIDE | {"key_width": 96, "value_width": 80}, interleaved=True, softcap=30.0, bounded=True),
    Case(**WIDEST | {"dtype": torch.float32, "frequencies": 40}, rows=call.MOST_ROWS, memories=2, softcap=30.0),
    Case(step=None),
]

if __name__ == "__main__":
    print(json.dumps(rows_of(CASES, int(sys.argv[1]))))
