"""The kernels in Triton equal one softmax over the keys that runs name, and they compile.

Triton's interpreter runs them; with TRITON_INTERPRET=0 in the environment, a GPU does.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan import env
from farspan.attention import kernels
from farspan.attention.gpu import call, library
from farspan.attention.kernels import attend_runs
from farspan.attention.runs import Runs
from farspan.attention.softmax import Scoring
from farspan.attention.visible import Visible
from farspan.errors import FarspanError
from tests.attention.test_runs import CASES, Case, agrees, drawn, moved

pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
DEVICE = "cpu" if env.triton_is_interpreted() else "cuda"
SHARED_LEAST = 99 << 10
"""What the smallest GPUs of the last generations share between the threads of a block."""


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[call.Asked]:
    """Ask for Triton, and note what is asked of it."""
    monkeypatch.setenv("FARSPAN_KERNELS", "triton")
    noted = list[call.Asked]()
    attend = call.attend
    monkeypatch.setattr(call, "attend", lambda kernels, asked: (noted.append(asked), attend(kernels, asked))[1])
    return noted


@settings(max_examples=50, deadline=None)
@given(case=CASES, memories=st.sampled_from([1, 1, 2]))
def test_every_shape(case: Case, memories: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", "triton")
        agrees(dataclasses.replace(case, memories=memories), 5e-5 if case.dtype == torch.float32 else 0.05, DEVICE)


@pytest.mark.parametrize("bounds", [None, (-3, 5000), (700, 1900), (4990, 6000), (-900, -700)])
def test_pieces(launched: list[call.Asked], bounds: tuple[int, int] | None) -> None:
    """Many of them, some that a row does not see, or that no row does; twice the same to the last bit."""
    draw = torch.Generator().manual_seed(1)
    k_GSD, v_GSE = torch.randn(2, 2, 5000, 16, generator=draw)
    visible = None if bounds is None else Visible(3, *bounds)
    runs = Runs(k_GSD, v_GSE, torch.arange(2), torch.zeros(2, 1, dtype=torch.int64), 5000, 5000, visible=visible)
    q_NMD, runs = moved(torch.randn(2, 3, 16, generator=draw), runs, DEVICE)
    (one, _), (two, _) = (attend_runs(q_NMD, runs, Scoring(0.25)) for _ in range(2))
    cut = call.Cut.of(launched[0])
    assert (cut.pieces > 1) == (len(cut.seen) > 500)
    wanted = kernels.observed_attention(q_NMD, runs.k_GSD, runs.v_GSE, Scoring(0.25), visible)[0]
    torch.testing.assert_close(one, wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(one.out_NME, two.out_NME) and torch.equal(one.lse_NM, two.lse_NM)


@pytest.mark.parametrize(
    ("case", "by_triton"),
    [
        (Case(rows=call.MOST_ROWS), True),
        (Case(rows=call.MOST_ROWS + 1), False),
        (Case(key_width=260), False),
        (Case(value_width=260), False),
        (Case(dtype=torch.float64), False),
        (Case(memories=2), True),
        (Case(memories=3), False),
    ],
)
def test_what_does_not_fit_is_gathered(case: Case, by_triton: bool, launched: list[call.Asked]) -> None:
    q_NMD, runs, scoring = drawn(case)
    q_NMD, runs = moved(q_NMD, runs, DEVICE)
    found, _ = attend_runs(q_NMD, runs, scoring)
    assert bool(launched) == by_triton
    wanted = kernels.observed_attention(q_NMD, runs.k_NKD, runs.v_NKE, scoring)[0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tensors on a GPU unless another kernel is asked for, and for others never, unless it is demanded."""
    on_gpu, on_cpu = SimpleNamespace(is_cuda=True), SimpleNamespace(is_cuda=False)
    have = library.load()
    for asked, used in (("auto", (have, None)), ("triton", (have, have)), ("torch", (None, None))):
        monkeypatch.setenv("FARSPAN_KERNELS", asked)
        assert (kernels._gpu(on_gpu), kernels._gpu(on_cpu)) == used
    assert kernels.gpu_kernels() == "FARSPAN_KERNELS is torch"
    monkeypatch.setattr(library, "load", lambda: "there is no GPU")
    monkeypatch.setenv("FARSPAN_KERNELS", "auto")
    assert kernels._gpu(on_gpu) is None and kernels.gpu_kernels() == "there is no GPU"
    monkeypatch.setenv("FARSPAN_KERNELS", "triton")
    with pytest.raises(FarspanError, match="there is no GPU; unset FARSPAN_KERNELS"):
        kernels._gpu(on_cpu)


def python(*arguments: str, **environment: str) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_not_imported_on_the_cpu() -> None:
    """Nor asked for by torch, since farspan was; where it is demanded, the error says why it cannot be had."""
    code = """
        import os, sys, torch
        from farspan.attention import kernels
        from farspan.errors import FarspanError
        from tests.attention.test_runs import Case, drawn
        kernels.attend_runs(*drawn(Case()))
        assert "triton" not in sys.modules and "farspan.attention.gpu.attend" not in sys.modules
        os.environ["FARSPAN_KERNELS"] = "triton"
        if not torch.cuda.is_available():
            try:
                kernels.attend_runs(*drawn(Case()))
            except FarspanError as error:
                print(error)
    """
    lines = "\n".join(line.removeprefix(" " * 8) for line in code.splitlines())
    said = python("-c", lines, TRITON_INTERPRET="0")
    assert torch.cuda.is_available() or "there is no GPU; unset FARSPAN_KERNELS" in said


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
def test_they_compile(capability: int, tmp_path: Path) -> None:
    """To machine code, in registers and shared memory that GPUs have; not anew where other numbers of keys are met."""
    environment = {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    rows = json.loads(python("-m", "tests.attention.compiled", str(capability), **environment))
    attends = [(shared, compiled) for name, shared, compiled in rows if name == "attend"]
    assert len(attends) == 6 and all(0 < shared <= SHARED_LEAST for shared, _ in attends)
    assert [compiled for _, compiled in attends] == [1, 1, 2, 3, 4, 5]
