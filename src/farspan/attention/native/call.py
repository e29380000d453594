"""Hands runs to the compiled kernel: the memory of tensors as it is, no copies of keys or values.

Shapes as in `farspan.attention.runs`, and P pieces of a search's keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from farspan.attention.meeting import STRONGEST, Meeting, Strongest, TokenAttention
from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS, Held, Job, array, memory, room
from farspan.attention.runs import Runs

_TASKS, _LEAST_PIECE = 64, 1024
_NO_MEMORY = "no memory is left for attention"


class Found(NamedTuple):
    """Output, log-sum-exp and, where they were asked for, logits: all float32."""

    out_NME: Tensor
    lse_NM: Tensor
    logits_NMK: Tensor | None


def fits(q_NMD: Tensor, runs: Runs) -> bool:
    """Whether the kernel can read these tensors: on the CPU, of a dtype it knows, rows without gaps."""
    others = () if runs.elsewhere is None else runs.elsewhere.memories
    return q_NMD.is_cpu and all(_readable(k, v) for k, v in ((runs.k_GSD, runs.v_GSE), *others))


def attend(kernel: Kernel, q_NMD: Tensor, runs: Runs, scale: float, softcap: float | None, logits: bool) -> Found:
    """Attention of queries, at their own positions, to what they meet. There is at least one row and one key."""
    count, rows, _ = q_NMD.shape
    out_NME, lse_NM = room(count, rows, runs.v_GSE.shape[-1]), room(count, rows)
    logits_NMK = room(count, rows, runs.keys) if logits else None
    held = Held()
    job = _job(kernel, held, held.floats(q_NMD), (count, rows), runs, scale, softcap)
    job.out, job.lse = out_NME.data_ptr(), lse_NM.data_ptr()
    job.logits = 0 if logits_NMK is None else logits_NMK.data_ptr()
    _run(kernel, job)
    return Found(out_NME, lse_NM, logits_NMK)


def key_logits(kernel: Kernel, q_NMD: Tensor, runs: Runs, scale: float, softcap: float | None) -> Tensor:
    """The logits `[N, M, K]` of queries, at their own positions, and nothing of the values."""
    count, rows, _ = q_NMD.shape
    logits_NMK = room(count, rows, runs.keys)
    held = Held()
    job = _job(kernel, held, held.floats(q_NMD), (count, rows), runs, scale, softcap)
    job.logits, job.keys_only = logits_NMK.data_ptr(), 1
    _run(kernel, job)
    return logits_NMK


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
    held, heads = Held(), q_HD.shape[0]
    q, jobs = held.floats(q_HD), []
    for meeting in meetings:
        searches = meeting.runs.heads_N.shape[0]
        job = _job(kernel, held, q, (searches, heads // searches), meeting.runs, scale, softcap)
        if meeting.angles is not None:
            job.q_cos, job.q_sin = map(held.floats, meeting.angles)
        if strongest:
            job.place, job.place_row = held.rows(meeting.place_NX)
        if meeting.mass_NK is not None:
            job.mass, job.mass_row = meeting.mass_NK.data_ptr(), meeting.mass_NK.stride(0)
        jobs.append(job)
    out_HE, lse_H = room(heads, meetings[0].runs.v_GSE.shape[-1]), room(heads)
    best = None
    if strongest:
        best = Strongest(room(heads, STRONGEST), torch.empty(heads, STRONGEST, dtype=torch.int64, device="cpu"))
    failed = kernel.attend_token(
        array(jobs),
        len(jobs),
        None if sinks_H is None else held.floats(sinks_H),
        out_HE.data_ptr(),
        lse_H.data_ptr(),
        *((None, None) if best is None else (best.logits_HK.data_ptr(), best.place_HK.data_ptr())),
    )
    if failed:
        raise MemoryError(_NO_MEMORY)
    return TokenAttention(out_HE, lse_H, best)


def _readable(k: Tensor, v: Tensor) -> bool:
    return k.is_cpu and k.dtype in KINDS and v.dtype is k.dtype and k.stride(2) == v.stride(2) == 1


def _run(kernel: Kernel, job: Job) -> None:
    if kernel.attend(array((job,))):
        raise MemoryError(_NO_MEMORY)


def _job(
    kernel: Kernel, held: Held, q: int, shape: tuple[int, int], runs: Runs, scale: float, softcap: float | None
) -> Job:
    """The queries, from address `q` on, are those of `shape` searches and rows, one after the other."""
    count, rows = shape
    k, v = runs.k_GSD, runs.v_GSE
    visible = runs.bounds(rows)
    first, first_row = held.rows(runs.first_NX)
    pieces, piece = _pieces(count, runs.keys)
    job = Job(
        q=q,
        **memory(k, v),
        heads=held.integers(runs.heads_N),
        first=first,
        first_row=first_row,
        searches=count,
        rows=rows,
        length=runs.length,
        keys=runs.keys,
        key_width=k.shape[2],
        value_width=v.shape[2],
        kind=KINDS[k.dtype],
        skip=0 if runs.skip_N is None else held.integers(runs.skip_N),
        tokens=visible.tokens,
        low=visible.low,
        high=visible.high,
        least=visible.least,
        scale=scale if softcap is None else scale / softcap,
        softcap=softcap or 0.0,
        pieces=pieces,
        piece=piece,
        team=kernel.team or 0,
        threads=min(torch.get_num_threads(), count * pieces),
        **({} if runs.turn is None else runs.turn.addresses),
    )
    if runs.elsewhere is not None:
        job.others = held.numbers([number for other in runs.elsewhere.memories for number in memory(*other).values()])
        job.memory, job.memory_row = held.rows(runs.elsewhere.which_NX)
    return job


def _pieces(searches: int, keys: int) -> tuple[int, int]:
    """How many pieces a search's keys are cut into and how long they are: never by how many threads there are."""
    pieces = max(1, min(-(-_TASKS // searches), keys // _LEAST_PIECE))
    piece = -(-keys // pieces)
    return -(-keys // piece), piece
