"""Hands runs to the compiled kernel: the memory of tensors as it is, no copies of keys or values.

Shapes as in `farspan.attention.runs`, and P pieces of a search's keys.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.meeting import STRONGEST, Meeting, Strongest, TokenAttention
from farspan.attention.native.library import Kernel
from farspan.attention.runs import Runs, Turn

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
_TASKS, _LEAST_PIECE = 64, 1024
_NO_MEMORY = "no memory is left for attention"

_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64


class _Job(ctypes.Structure):
    """`struct job` of attend.c."""

    _fields_ = (
        *((name, _POINTER) for name in "q k v".split()),
        *((name, _INT) for name in "k_head k_token v_head v_token".split()),
        *((name, _POINTER) for name in "heads first".split()),
        *((name, _INT) for name in "first_row searches rows length keys key_width value_width kind".split()),
        *((name, _INT) for name in "turned frequencies interleaved start_row keys_only".split()),
        *((name, _POINTER) for name in "start_cos start_sin within_cos within_sin skip low high".split()),
        ("scale", ctypes.c_float),
        ("softcap", ctypes.c_float),
        *((name, _POINTER) for name in "out lse logits parts q_cos q_sin place".split()),
        ("place_row", _INT),
        *((name, _POINTER) for name in "best_logits best_places".split()),
        *((name, _INT) for name in "pieces piece".split()),
        ("team", _POINTER),
        *((name, _INT) for name in "threads next failed".split()),
    )


class Found(NamedTuple):
    """Output, log-sum-exp and, where they were asked for, logits: all float32."""

    out_NME: Tensor
    lse_NM: Tensor
    logits_NMK: Tensor | None


def fits(q_NMD: Tensor, runs: Runs) -> bool:
    """Whether the kernel can read these tensors: on the CPU, of a dtype it knows, rows without gaps."""
    k, v = runs.k_GSD, runs.v_GSE
    return (
        k.device.type == "cpu"
        and q_NMD.device.type == "cpu"
        and k.dtype in KINDS
        and v.dtype == k.dtype
        and k.stride(-1) == v.stride(-1) == 1
    )


def attend(kernel: Kernel, q_NMD: Tensor, runs: Runs, scale: float, softcap: float | None, logits: bool) -> Found:
    """Attention of queries, at their own positions, to what they meet. There is at least one row and one key."""
    held = _Held()
    job, found = _job(kernel, held, q_NMD, runs, (scale, softcap), logits)
    if kernel.attend(ctypes.byref(job)):
        raise MemoryError(_NO_MEMORY)
    return found


def key_logits(kernel: Kernel, q_NMD: Tensor, runs: Runs, scale: float, softcap: float | None) -> Tensor:
    """The logits `[N, M, K]` of queries, at their own positions, and nothing of the values."""
    held = _Held()
    job, found = _job(kernel, held, q_NMD, runs, (scale, softcap), logits=True)
    job.keys_only = 1
    if kernel.attend(ctypes.byref(job)):
        raise MemoryError(_NO_MEMORY)
    assert found.logits_NMK is not None
    return found.logits_NMK


def attend_token(
    kernel: Kernel,
    q_HD: Tensor,
    meetings: Sequence[Meeting],
    scale: float,
    softcap: float | None,
    sinks_H: Tensor | None,
    strongest: bool,
) -> TokenAttention:
    """One token's attention to all that it meets, by un-rotated queries. Every meeting has a key."""
    held, heads = _Held(), len(q_HD)
    jobs, logits = [], list[Tensor | None]()
    for meeting in meetings:
        searches = len(meeting.runs.heads_N)
        q_NMD = q_HD.view(searches, heads // searches, -1)
        job, found = _job(kernel, held, q_NMD, meeting.runs, (scale, softcap), meeting.logits)
        if meeting.angles is not None:
            job.q_cos, job.q_sin = map(held.floats, meeting.angles)
        if strongest:
            tasks = searches * job.pieces * job.rows * STRONGEST
            job.place, job.place_row = held.integers(meeting.place_NX), _row(meeting.place_NX)
            job.best_logits, job.best_places = map(
                held.kept, (torch.empty(tasks), torch.empty(tasks, dtype=torch.int64))
            )
        held.kept(found.out_NME)
        held.kept(found.lse_NM)
        jobs.append(job)
        logits.append(found.logits_NMK)
    out_HE, lse_H = torch.empty(heads, meetings[0].runs.v_GSE.shape[-1]), torch.empty(heads)
    best = None
    if strongest:
        best = Strongest(torch.empty(heads, STRONGEST), torch.empty(heads, STRONGEST, dtype=torch.int64))
    pointers = (ctypes.POINTER(_Job) * len(jobs))(*map(ctypes.pointer, jobs))
    failed = kernel.attend_token(
        ctypes.cast(pointers, _POINTER),
        len(jobs),
        None if sinks_H is None else held.floats(sinks_H),
        out_HE.data_ptr(),
        lse_H.data_ptr(),
        *((None, None) if best is None else (best.logits_HK.data_ptr(), best.place_HK.data_ptr())),
    )
    if failed:
        raise MemoryError(_NO_MEMORY)
    return TokenAttention(out_HE, lse_H, best, logits)


def _job(
    kernel: Kernel, held: _Held, q_NMD: Tensor, runs: Runs, scoring: tuple[float, float | None], logits: bool
) -> tuple[_Job, Found]:
    count, rows, _ = q_NMD.shape
    width = runs.v_GSE.shape[-1]
    out_NME, lse_NM = torch.empty(count, rows, width), torch.empty(count, rows)
    logits_NMK = torch.full((count, rows, runs.keys), float("-inf")) if logits else None
    hides = runs.visible is not None and runs.visible.hides(runs.keys)
    low_M, high_M = runs.visible.bounds(rows, runs.keys) if hides and runs.visible else (None, None)
    pieces, piece = _pieces(count, runs.keys)
    scale, softcap = scoring
    k, v = runs.k_GSD, runs.v_GSE
    job = _Job(
        q=held.floats(q_NMD),
        k=k.data_ptr(),
        v=v.data_ptr(),
        k_head=k.stride(0) * k.element_size(),
        k_token=k.stride(1) * k.element_size(),
        v_head=v.stride(0) * v.element_size(),
        v_token=v.stride(1) * v.element_size(),
        heads=held.integers(runs.heads_N),
        first=held.integers(runs.first_NX),
        first_row=runs.first_NX.shape[1],
        searches=count,
        rows=rows,
        length=runs.length,
        keys=runs.keys,
        key_width=k.shape[-1],
        value_width=width,
        kind=KINDS[k.dtype],
        skip=held.integers(runs.skip_N),
        low=held.integers(low_M),
        high=held.integers(high_M),
        scale=scale if softcap is None else scale / softcap,
        softcap=softcap or 0.0,
        out=out_NME.data_ptr(),
        lse=lse_NM.data_ptr(),
        logits=None if logits_NMK is None else logits_NMK.data_ptr(),
        parts=held.kept(torch.empty(count * pieces * rows * (width + 2))),
        pieces=pieces,
        piece=piece,
        team=kernel.team,
        threads=min(torch.get_num_threads(), count * pieces),
    )
    if runs.turn is not None:
        _turned(job, runs.turn, held)
    return job, Found(out_NME, lse_NM, logits_NMK)


def _turned(job: _Job, turn: Turn, held: _Held) -> None:
    start, within = turn.start, turn.within
    job.turned = 1
    job.frequencies, job.interleaved = turn.rope.width // 2, turn.rope.interleaved
    job.start_row = _row(start[0]) * turn.rope.width // 2
    job.start_cos, job.start_sin = map(held.floats, start)
    if within is not None:
        job.within_cos, job.within_sin = map(held.floats, within)


def _pieces(searches: int, keys: int) -> tuple[int, int]:
    """How many pieces a search's keys are cut into and how long they are: never by how many threads there are."""
    pieces = max(1, min(-(-_TASKS // searches), keys // _LEAST_PIECE))
    piece = -(-keys // pieces)
    return -(-keys // piece), piece


def _row(x_NX: Tensor) -> int:
    """How far the rows of searches are apart: not at all where one serves all."""
    return 0 if len(x_NX) == 1 else x_NX.shape[1]


class _Held:
    """Addresses of tensors as the kernel reads them, and the copies that had to be made for it."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []

    def floats(self, x: Tensor) -> int:
        return self._address(x.to(torch.float32))

    def integers(self, x: Tensor | None) -> int | None:
        return None if x is None else self._address(x.to(torch.int64))

    def kept(self, x: Tensor) -> int:
        self._tensors.append(x)
        return x.data_ptr()

    def _address(self, x: Tensor) -> int:
        return self.kept(x.contiguous())
