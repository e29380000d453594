"""Attention to runs where they lie equals one softmax over the keys they name, by every kernel that can be had."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
import sys
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention import kernels
from farspan.attention.kernels import attend_runs, attend_token, key_logits
from farspan.attention.meeting import STRONGEST, Meeting
from farspan.attention.native import call, library
from farspan.attention.rope import Rope
from farspan.attention.runs import Elsewhere, Runs, Turn
from farspan.attention.softmax import Partial, Scoring, merge
from farspan.attention.visible import Visible
from farspan.errors import FarspanError

STORED = 200
NATIVE = sys.platform.startswith(("linux", "darwin"))
native_only = pytest.mark.skipif(not NATIVE, reason="the native kernel is built on Linux and macOS")
triton_only = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is there for Linux only")
ALL = ["torch", pytest.param("native", marks=native_only), pytest.param("triton", marks=triton_only)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is met and by how many rows; `seed` draws the numbers."""

    seed: int = 0
    searches: int = 3
    rows: int = 4
    runs: int = 5
    length: int = 16
    cut: int = 3
    key_width: int = 32
    value_width: int = 32
    dtype: torch.dtype = torch.float32
    step: int | None = 1
    frequencies: int = 16
    interleaved: bool = False
    scaling: float = 1.0
    softcap: float | None = None
    one_position: bool = False
    skips: bool = False
    bounded: bool = False
    strided: bool = False
    memories: int = 1


def drawn(case: Case) -> tuple[Tensor, Runs, Scoring]:
    """The first run of a search is met again by its last; the others fall where they may, over each other or not."""
    draw = torch.Generator().manual_seed(case.seed)
    integers = functools.partial(torch.randint, generator=draw)
    keys = case.runs * case.length - min(case.cut, case.length - 1)
    first_NX = integers(0, STORED - case.length + 1, (case.searches, case.runs))
    first_NX[:, -1] = first_NX[:, 0]
    q_NMD = torch.randn(case.searches, case.rows, case.key_width, generator=draw).to(case.dtype)
    runs = Runs(
        stored(case, case.key_width, draw),
        stored(case, case.value_width, draw),
        integers(0, 2, (case.searches,)),
        first_NX,
        case.length,
        keys,
        turn_of(case, draw),
        integers(0, case.runs, (case.searches,)) if case.skips else None,
        visible_of(case, keys, draw) if case.bounded else None,
        elsewhere=elsewhere_of(case, draw) if case.memories > 1 else None,
    )
    return q_NMD, runs, Scoring(case.key_width**-0.5, case.softcap)


def elsewhere_of(case: Case, draw: torch.Generator) -> Elsewhere:
    others = [
        (stored(case, case.key_width, draw), stored(case, case.value_width, draw)) for _ in range(case.memories - 1)
    ]
    return Elsewhere(tuple(others), torch.randint(0, case.memories, (case.searches, case.runs), generator=draw))


def stored(case: Case, width: int, draw: torch.Generator) -> Tensor:
    """Two heads; where `strided`, a part of a larger buffer that holds tokens outside and heads inside."""
    if not case.strided:
        return torch.randn(2, STORED, width, generator=draw).to(case.dtype)
    return torch.randn(STORED + 5, 3, width + 7, generator=draw).to(case.dtype).transpose(0, 1)[1:, 4:-1, 3:-4]


def visible_of(case: Case, keys: int, draw: torch.Generator) -> Visible:
    """Rows are tokens, or those of two heads."""
    tokens = case.rows if case.rows % 2 else case.rows // 2
    low, high, least = torch.randint(-3, keys + 3, (3,), generator=draw).tolist()
    return Visible(tokens, low - keys // 2, high, max(0, least - keys // 2))


def turn_of(case: Case, draw: torch.Generator) -> Turn | None:
    if case.step is None:
        return None
    inv_freq_F = 100.0 ** -(torch.arange(case.frequencies) / case.frequencies)
    rope = Rope(inv_freq_F, case.scaling, case.interleaved)
    shape = (1 if case.one_position else case.searches, case.runs)
    return Turn(rope, torch.randint(0, 300, shape, generator=draw), case.length, case.step)


def defined(q_NMD: Tensor, runs: Runs, scoring: Scoring) -> tuple[Partial, Tensor]:
    """Key by key in float64, as it is defined."""
    count, rows, _ = q_NMD.shape
    logits_NMK = torch.full((count, rows, runs.keys), -math.inf, dtype=torch.float64)
    v_NKE = torch.zeros(count, runs.keys, runs.v_GSE.shape[-1], dtype=torch.float64)
    for n in range(count):
        head, skip = int(runs.heads_N[n]), 0 if runs.skip_N is None else int(runs.skip_N[n]) * runs.length
        for key in range(runs.keys):
            token = int(runs.first_NX[n, key // runs.length]) + key % runs.length
            k_GSD, v_GSE = memory_of(runs, n, key // runs.length)
            v_NKE[n, key] = v_GSE[head, token].double()
            dots_M = q_NMD[n].double() @ turned(runs, n, key, k_GSD[head, token].double()) * scoring.scale
            if scoring.softcap is not None:
                dots_M = scoring.softcap * torch.tanh(dots_M / scoring.softcap)
            for m in range(rows):
                if skip <= key and sees(runs, m, key):
                    logits_NMK[n, m, key] = dots_M[m]
    lse_NM = logits_NMK.logsumexp(-1)
    weights_NMK = (logits_NMK - lse_NM.unsqueeze(-1)).exp().nan_to_num(0.0)
    return Partial(weights_NMK @ v_NKE, lse_NM), logits_NMK


def memory_of(runs: Runs, n: int, run: int) -> tuple[Tensor, Tensor]:
    own = runs.k_GSD, runs.v_GSE
    return own if runs.elsewhere is None else (own, *runs.elsewhere.memories)[int(runs.elsewhere.which_NX[n, run])]


def sees(runs: Runs, row: int, key: int) -> bool:
    if runs.visible is None:
        return True
    token = row % runs.visible.tokens
    return runs.visible.low + token <= key < max(runs.visible.high + token, runs.visible.least)


def turned(runs: Runs, n: int, key: int, k_D: Tensor) -> Tensor:
    if runs.turn is None:
        return k_D
    rope, run = runs.turn.rope, key // runs.length
    position = runs.turn.position_NX[n % runs.turn.position_NX.shape[0], run] + key % runs.length * runs.turn.step
    out_D = k_D.clone()
    for frequency, (a, b) in zip(rope.inv_freq_F.tolist(), rope.pairs().tolist(), strict=True):
        cos, sin = math.cos(position * frequency), math.sin(position * frequency)
        out_D[a] = (k_D[a] * cos - k_D[b] * sin) * rope.attention_scaling
        out_D[b] = (k_D[b] * cos + k_D[a] * sin) * rope.attention_scaling
    return out_D


def moved(q_NMD: Tensor, runs: Runs, device: str) -> tuple[Tensor, Runs]:
    """The same on another device."""
    turn, elsewhere = runs.turn, runs.elsewhere
    if turn is not None:
        turn = dataclasses.replace(turn, position_NX=turn.position_NX.to(device))
    if elsewhere is not None:
        others = tuple((k_GSD.to(device), v_GSE.to(device)) for k_GSD, v_GSE in elsewhere.memories)
        elsewhere = Elsewhere(others, elsewhere.which_NX.to(device))
    names = ("k_GSD", "v_GSE", "heads_N", "first_NX")
    tensors = {name: getattr(runs, name).to(device) for name in names}
    skip_N = None if runs.skip_N is None else runs.skip_N.to(device)
    return q_NMD.to(device), dataclasses.replace(runs, **tensors, turn=turn, skip_N=skip_N, elsewhere=elsewhere)


def agrees(case: Case, tolerance: float, device: str = "cpu") -> None:
    q_NMD, runs, scoring = drawn(case)
    wanted, wanted_logits = defined(q_NMD, runs, scoring)
    q_NMD, runs = moved(q_NMD, runs, device)
    found, none = attend_runs(q_NMD, runs, scoring)
    assert none is None
    told, logits_NMK = attend_runs(q_NMD, runs, scoring, logits=True)
    assert logits_NMK is not None
    close = functools.partial(torch.testing.assert_close, atol=tolerance, rtol=tolerance, check_device=False)
    for each in (found, told):
        assert each.out_NME.dtype == each.lse_NM.dtype == torch.float32
        close(each.out_NME.double(), wanted.out_NME)
        close(each.lse_NM.double(), wanted.lse_NM)
    for logits in (logits_NMK, key_logits(q_NMD, runs, scoring)):
        assert logits.dtype == torch.float32
        close(logits.double(), wanted_logits)


@pytest.mark.parametrize("kernels_used", [*ALL[:2], pytest.param("triton", marks=[triton_only, pytest.mark.slow])])
@given(seed=st.integers(0, 10**6), sinks=st.booleans(), few=st.booleans(), softcap=st.sampled_from([None, 2.0]))
@settings(deadline=None, max_examples=40)
def test_a_token_meets_everything_at_once(
    kernels_used: str, seed: int, sinks: bool, few: bool, softcap: float | None
) -> None:
    """Searches of KV heads and searches of query heads, each at angles of its own, as one softmax; its strongest keys
    stand where they stand in the text, each there once.
    """
    cases = [
        Case(seed=seed, searches=3, rows=4, bounded=not few, runs=1 if few else 5, length=2 if few else 16),
        Case(seed=seed + 1, searches=12, rows=1, step=0, skips=not few, runs=1, length=3, cut=0),
    ]
    draw = torch.Generator().manual_seed(seed)
    q_HD = torch.randn(12, 32, generator=draw)
    sinks_H = torch.randn(12, generator=draw) if sinks else None
    meetings, parts, logits = [], [], []
    masses = [torch.rand(case.searches, 100, generator=draw) for case in cases]
    before = [mass_NS.clone() for mass_NS in masses]
    for number, case in enumerate(cases):
        _, runs, _ = drawn(case)
        runs = dataclasses.replace(runs, visible=None if runs.visible is None else Visible(1, -1, runs.keys - 5))
        assert runs.turn is not None
        angles = runs.turn.rope.table(torch.tensor([400 + number]))
        count = runs.first_NX.shape[1]
        place_NX = 1000 * number + torch.arange(count * case.length).view(count, -1)[None, :, 0]
        meetings.append(
            Meeting(runs, angles, place_NX, masses[number][:, 7 : 7 + runs.keys] if number != few else None)
        )
        q_NMD = runs.turn.rope.apply(q_HD, angles).view(case.searches, case.rows, -1)
        part, logits_NMK = defined(q_NMD, runs, Scoring(0.3, softcap))
        parts.append(Partial(part.out_NME.flatten(0, 1), part.lse_NM.flatten()))
        logits.append(logits_NMK.flatten(0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", kernels_used)
        found = attend_token(q_HD, meetings, Scoring(0.3, softcap), sinks_H, strongest=True)
    wanted = merge(parts, sinks_H)
    close = functools.partial(torch.testing.assert_close, atol=1e-4, rtol=1e-4, check_dtype=False)
    close(found.out_HE, wanted.out_NME)
    close(found.lse_H, wanted.lse_NM)
    for number, (case, own_HK) in enumerate(zip(cases, logits, strict=True)):
        share_HK = torch.exp(own_HK - wanted.lse_NM.unsqueeze(-1)) * (number != few)
        mass_NK = share_HK.view(case.searches, case.rows, -1).sum(1)
        close(masses[number] - before[number], torch.nn.functional.pad(mass_NK, (7, 93 - mass_NK.shape[1])))
    assert found.strongest is not None
    at_K = torch.cat([1000 * number + torch.arange(part.shape[1]) for number, part in enumerate(logits)])
    best_HK, order_HK = torch.cat(logits, 1).sort(dim=1, descending=True)
    for head in range(12):
        keys = [key for key, logit in zip(order_HK[head], best_HK[head], strict=True) if logit > -math.inf][:STRONGEST]
        close(found.strongest.logits_HK[head, : len(keys)], best_HK[head, : len(keys)])
        assert (found.strongest.logits_HK[head, len(keys) :] == -math.inf).all()
        by_place = dict(zip(at_K.tolist(), torch.cat(logits, 1)[head].tolist(), strict=True))
        places = found.strongest.place_HK[head, : len(keys)].tolist()
        assert len(set(places)) == len(places)
        close(torch.tensor([by_place[place] for place in places]), best_HK[head, : len(keys)])


CASES = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    searches=st.integers(1, 4),
    rows=st.sampled_from([1, 2, 3, 4, 5, 8, 13]),
    runs=st.integers(1, 6),
    length=st.sampled_from([1, 2, 7, 8, 16, 33, 64, 100]),
    cut=st.integers(0, 40),
    key_width=st.sampled_from([16, 24, 32, 40, 64, 80]),
    value_width=st.sampled_from([1, 8, 16, 40, 64, 96]),
    dtype=st.sampled_from(sorted(call.KINDS, key=str)),
    step=st.sampled_from([None, 0, 1]),
    frequencies=st.sampled_from([1, 4, 8]),
    interleaved=st.booleans(),
    scaling=st.sampled_from([1.0, 1.37]),
    softcap=st.sampled_from([None, 2.0]),
    one_position=st.booleans(),
    skips=st.booleans(),
    bounded=st.booleans(),
    strided=st.booleans(),
    memories=st.sampled_from([1, 1, 3]),
)


@native_only
@settings(max_examples=120, deadline=None)
@given(case=CASES)
def test_native(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", "native")
        agrees(case, 5e-5)


@settings(max_examples=40, deadline=None)
@given(case=CASES)
def test_torch(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", "torch")
        agrees(case, 5e-5 if case.dtype == torch.float32 else 0.15)


@native_only
@pytest.mark.parametrize("dtype", call.KINDS)
@pytest.mark.parametrize("frequencies", [16, 32])
def test_whole_vectors_are_turned_as_they_are_read(
    dtype: torch.dtype, frequencies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", "native")
    for rows in (1, 2, 7):
        agrees(Case(rows=rows, key_width=64, value_width=64, frequencies=frequencies, dtype=dtype, length=50), 5e-5)


@native_only
def test_pieces_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", "native")
    draw = torch.Generator().manual_seed(1)
    k_GSD, v_GSE = torch.randn(2, 2, 5000, 16, generator=draw)
    runs = Runs(k_GSD, v_GSE, torch.arange(2), torch.zeros(2, 1, dtype=torch.int64), 5000, 5000)
    q_NMD = torch.randn(2, 3, 16, generator=draw)
    assert call._pieces(2, 5000)[0] > 1
    one, _ = attend_runs(q_NMD, runs, Scoring(0.25))
    wanted = kernels.partial_attention(q_NMD, k_GSD, v_GSE, Scoring(0.25))
    torch.testing.assert_close(one, wanted)
    try:
        torch.set_num_threads(2)
        two, _ = attend_runs(q_NMD, runs, Scoring(0.25))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(one.out_NME, two.out_NME) and torch.equal(one.lse_NM, two.lse_NM)


@pytest.mark.parametrize("wanted", ALL)
def test_nothing_to_meet(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", wanted)
    empty = torch.zeros(1, 0, dtype=torch.int64)
    runs = Runs(torch.randn(1, 9, 8), torch.randn(1, 9, 8), torch.zeros(1, dtype=torch.int64), empty, 4, 0)
    found, logits_NMK = attend_runs(torch.randn(1, 2, 8), runs, Scoring(1.0), logits=True)
    assert not found.out_NME.any() and (found.lse_NM == -math.inf).all()
    assert logits_NMK is not None and logits_NMK.shape == (1, 2, 0)


@pytest.mark.parametrize("wanted", ALL)
def test_what_is_no_number_is_not_hidden(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", wanted)
    q_NMD, runs, scoring = drawn(Case(rows=1))
    runs.k_GSD[:, :, 0] = math.nan
    assert attend_runs(q_NMD, runs, scoring)[0].out_NME.isnan().all()


def used(monkeypatch: pytest.MonkeyPatch, q_NMD: Tensor, runs: Runs) -> bool:
    """Whether the native kernel was."""
    calls: list[int] = []
    attend = call.attend
    monkeypatch.setattr(call, "attend", lambda *args: calls.append(1) or attend(*args))
    attend_runs(q_NMD, runs, Scoring(1.0))
    monkeypatch.setattr(call, "attend", attend)
    return bool(calls)


@native_only
def test_which_kernel_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    q_NMD, runs, _ = drawn(Case())
    assert used(monkeypatch, q_NMD, runs)
    assert not used(monkeypatch, *drawn(Case(rows=kernels.NATIVE_MOST_ROWS + 1))[:2])
    assert not used(monkeypatch, *drawn(Case(dtype=torch.float64))[:2])
    gaps = Runs(torch.randn(2, 8, 200).mT, runs.v_GSE, runs.heads_N, runs.first_NX, runs.length, runs.keys)
    assert not used(monkeypatch, torch.randn(3, 4, 8), gaps)
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")
    assert not used(monkeypatch, q_NMD, runs)
    monkeypatch.setenv("FARSPAN_KERNELS", "fast")
    with pytest.raises(FarspanError, match="FARSPAN_KERNELS is 'fast'"):
        attend_runs(q_NMD, runs, Scoring(1.0))


def test_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "load", lambda: "there is no C compiler")
    q_NMD, runs, scoring = drawn(Case())
    assert not used(monkeypatch, q_NMD, runs)
    assert kernels.native_kernel() == "there is no C compiler"
    monkeypatch.setenv("FARSPAN_KERNELS", "native")
    with pytest.raises(FarspanError, match="there is no C compiler"):
        attend_runs(q_NMD, runs, scoring)
