"""Attention to segments of keys: the one file that chooses kernels.

Every segment is computed apart, with its own rotation of queries and keys, and gives its output and the log-sum-exp of
its logits, by which `softmax.merge` joins them.

Shapes: N independent problems (a KV head, or a head and token), M query rows, S keys, D key width, E value width; K is
S where the keys are runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce

import torch
from torch import Tensor

from farspan import env
from farspan.attention.codes import CodedKeys
from farspan.attention.flash import flash_parts, takes
from farspan.attention.gpu import call as on_gpu
from farspan.attention.gpu import library as triton
from farspan.attention.gpu.call import Asked
from farspan.attention.meeting import Meeting, Strongest, TokenAttention
from farspan.attention.native import call, codes, library
from farspan.attention.native.many import attend_many
from farspan.attention.native.many import fits as many_fits
from farspan.attention.processor import has_products
from farspan.attention.runs import Runs
from farspan.attention.softmax import Partial, Scoring, merge, observed_attention, received, seen_mask
from farspan.attention.tiled import tiled
from farspan.attention.visible import Visible
from farspan.errors import FarspanError

_MANY_ROWS = 64
_TILED_MIN_LOGITS = 1 << 16
_FLASH_MIN_KEYS = 256
NATIVE_MOST_ROWS = 128
_WANTED: ContextVar[str | None] = ContextVar("wanted", default=None)


def partial_attention(
    q_NMD: Tensor,
    k_NSD: Tensor,
    v_NSE: Tensor,
    scoring: Scoring,
    mask_MS: Tensor | Visible | None = None,
    bias_NMS: Tensor | None = None,
) -> Partial:
    """Softmax attention over one segment. `mask_MS` is True where row M may see key S; it may lead with N.

    Where a token sees a range of keys, a Visible says so faster: what is hidden is then not computed. `bias_NMS`, or
    anything that broadcasts to it, is added to the logits: the logarithm of how often a key counts.
    """
    if k_NSD.shape[-2] == 0 or q_NMD.shape[-2] == 0:
        shape = q_NMD.shape[:-1]
        out_NME = q_NMD.new_zeros((*shape, v_NSE.shape[-1]), dtype=torch.float32)
        return Partial(out_NME, out_NME.new_full(shape, float("-inf")))
    plain = q_NMD.dim() == 3 and scoring.softcap is None and bias_NMS is None
    if not plain or isinstance(mask_MS, Tensor):
        return observed_attention(q_NMD, k_NSD, v_NSE, scoring, mask_MS, bias_NMS)[0]
    rows, keys = q_NMD.shape[1], k_NSD.shape[1]
    visible = mask_MS or Visible.everything(rows, keys)
    kernel = _for_many(q_NMD, k_NSD, v_NSE)
    if kernel is not None:
        return attend_many(kernel, q_NMD, k_NSD, v_NSE, scoring.scale, visible)
    fast_products = q_NMD.is_cpu and q_NMD.dtype == torch.bfloat16 and rows >= _MANY_ROWS and has_products()
    if fast_products and rows * keys >= _TILED_MIN_LOGITS:
        return Partial(*tiled(q_NMD, k_NSD, v_NSE, scoring.scale, visible)[:2])
    if not takes(q_NMD, k_NSD, v_NSE) or (fast_products and keys < _FLASH_MIN_KEYS):
        return observed_attention(q_NMD, k_NSD, v_NSE, scoring, visible)[0]
    return merge([Partial(*part) for part in flash_parts(q_NMD, k_NSD, v_NSE, scoring.scale, visible)])


def weighed_attention(q_NMD: Tensor, runs: Runs, scoring: Scoring, others_NM: Tensor) -> tuple[Partial, Tensor]:
    """Attention to runs, and how much each key receives of it all, `[N, K]`, where `others_NM` is the log-sum-exp of
    all other logits of each row.
    """
    mass_NK = others_NM.new_zeros((len(q_NMD), runs.keys))
    found = _in_order(q_NMD, runs, scoring, (others_NM, mass_NK))
    if found is not None:
        return found, mass_NK
    dtypes = (torch.float32, torch.bfloat16) if has_products() else (torch.float32,)
    if q_NMD.device.type == "cpu" and scoring.softcap is None and runs.skip_N is None and q_NMD.dtype in dtypes:
        visible = runs.bounds(q_NMD.shape[1])
        out_NME, lse_NM, tiled_NK = tiled(q_NMD, runs.k_NKD, runs.v_NKE, scoring.scale, visible, others_NM)
        assert tiled_NK is not None
        return Partial(out_NME, lse_NM), tiled_NK
    part, logits_NMK = observed_attention(q_NMD, runs.k_NKD, runs.v_NKE, scoring, runs.sight(q_NMD.shape[1]))
    return part, received(logits_NMK, torch.logaddexp(part.lse_NM, others_NM))


def attend_runs(q_NMD: Tensor, runs: Runs, scoring: Scoring, logits: bool = False) -> tuple[Partial, Tensor | None]:
    """Attention to runs of keys where they lie, by queries that have been turned to their own positions.

    With `logits`, also the logits `[N, M, K]` in float32, -inf where a key is not seen.
    """
    gpu, asked = _gpu(q_NMD), Asked(q_NMD, runs, scoring.scale, scoring.softcap, logits=logits)
    if gpu is not None and on_gpu.fits(gpu, asked):
        out_NME, lse_NM, logits_NMK = on_gpu.attend(gpu, asked)
    elif (kernel := _native(q_NMD, runs)) is not None:
        out_NME, lse_NM, logits_NMK = call.attend(kernel, q_NMD, runs, scoring.scale, scoring.softcap, logits)
    else:
        return _gathered(q_NMD, runs, scoring, logits)
    return Partial(out_NME, lse_NM), logits_NMK


def key_logits(q_NMD: Tensor, runs: Runs, scoring: Scoring) -> Tensor:
    """The logits `[N, M, K]` of runs of keys where they lie, in float32, for who looks for keys."""
    gpu, asked = _gpu(q_NMD), Asked(q_NMD, runs, scoring.scale, scoring.softcap)
    if gpu is not None and on_gpu.fits(gpu, asked):
        return on_gpu.key_logits(gpu, asked)
    if (kernel := _native(q_NMD, runs)) is not None:
        return call.key_logits(kernel, q_NMD, runs, scoring.scale, scoring.softcap)
    k_NKD = runs.k_NKD
    return scoring.logits(q_NMD.to(k_NKD.dtype), k_NKD, seen_mask(q_NMD, k_NKD, runs.sight(q_NMD.shape[1])))


def code_products(q_GMD: Tensor, keys: CodedKeys) -> Tensor | None:
    """The products `[G, M, n, B]` of queries with keys of their head as they are stored, in float32.

    None where no kernel reads such keys, or decoding them is faster.
    """
    if q_GMD.shape[1] > NATIVE_MOST_ROWS or not codes.fits(q_GMD, keys):
        return None
    kernel = _wanted_kernel()
    return None if isinstance(kernel, str) else codes.products(kernel, q_GMD, keys)


def attend_token(
    q_HD: Tensor,
    meetings: Sequence[Meeting],
    scoring: Scoring,
    sinks_H: Tensor | None = None,
    strongest: bool = False,
) -> TokenAttention:
    """One softmax over all that a token meets, by its un-rotated queries; `sinks_H` are logits without a value.

    The mass of keys that have one grows by the attention that they receive.
    """
    gpu, kernel = _gpu(q_HD), _wanted_kernel()
    readable = gpu is None and all(met.runs.keys and call.fits(q_HD, met.runs) for met in meetings)
    if readable and not isinstance(kernel, str):
        return call.attend_token(kernel, q_HD, meetings, scoring.scale, scoring.softcap, sinks_H, strongest)
    parts = [_asked(q_HD, met, scoring, strongest or met.mass_NK is not None) for met in meetings]
    if gpu is not None and all(on_gpu.fits(gpu, asked) for asked in parts):
        out_HE, lse_H, logits = on_gpu.attend_together(gpu, parts, sinks_H)
    else:
        out_HE, lse_H, logits = _gathered_together(parts, scoring, sinks_H)
    best = list[Strongest]()
    for met, logits_NMK in zip(meetings, logits, strict=True):
        if logits_NMK is not None and met.mass_NK is not None:
            met.mass_NK.add_(received(logits_NMK, lse_H.view(logits_NMK.shape[:2])))
        if logits_NMK is not None and strongest:
            best.append(Strongest.of(logits_NMK.flatten(0, 1), met.runs, met.place_NX))
    return TokenAttention(out_HE, lse_H, reduce(Strongest.joined, best) if best else None)


def native_kernel() -> library.Kernel | str:
    """The compiled kernel, or why torch computes what it would."""
    return "FARSPAN_KERNELS is torch" if _wanted() == "torch" else library.load()


def gpu_kernels() -> triton.Kernels | str:
    """The kernels for GPUs, or why torch computes what they would."""
    wanted = _wanted()
    return f"FARSPAN_KERNELS is {wanted}" if wanted in ("native", "torch") else triton.load()


@contextmanager
def chosen_once() -> Iterator[None]:
    """Look only once at what the environment asks for while this lasts."""
    token = _WANTED.set(_wanted())
    try:
        _wanted_kernel()
        yield
    finally:
        _WANTED.reset(token)


def _wanted() -> str:
    return _WANTED.get() or env.kernels()


def _wanted_kernel() -> library.Kernel | str:
    kernel = native_kernel()
    if isinstance(kernel, str) and _wanted() == "native":
        raise FarspanError(f"the native kernel cannot be had: {kernel}", fix="unset FARSPAN_KERNELS")
    return kernel


def _gpu(q: Tensor) -> triton.Kernels | None:
    """The kernels for GPUs, if these queries are on one; or wherever they are, if there must be such kernels."""
    demanded = _wanted() == "triton"
    if not q.is_cuda and not demanded:
        return None
    kernels = gpu_kernels()
    if isinstance(kernels, str) and demanded:
        raise FarspanError(f"the kernels for GPUs cannot be had: {kernels}", fix="unset FARSPAN_KERNELS")
    return None if isinstance(kernels, str) else kernels


def _native(q_NMD: Tensor, runs: Runs) -> library.Kernel | None:
    """The compiled kernel, where it can read these tensors and is faster than torch with copies."""
    if not runs.keys or not q_NMD.numel() or not call.fits(q_NMD, runs):
        return None
    if q_NMD.shape[1] > NATIVE_MOST_ROWS and _wanted() != "native":
        return None
    kernel = _wanted_kernel()
    return None if isinstance(kernel, str) else kernel


def _gathered(q_NMD: Tensor, runs: Runs, scoring: Scoring, logits: bool) -> tuple[Partial, Tensor | None]:
    if logits and runs.keys:
        return observed_attention(q_NMD, runs.k_NKD, runs.v_NKE, scoring, runs.sight(q_NMD.shape[1]))
    part = _in_order(q_NMD, runs, scoring)
    if part is None:
        part = partial_attention(q_NMD, runs.k_NKD, runs.v_NKE, scoring, runs.sight(q_NMD.shape[1]))
    return part, part.lse_NM.new_empty((*part.lse_NM.shape, 0)) if logits else None


def _for_many(q_NMD: Tensor, k_NSD: Tensor, v_NSE: Tensor) -> library.Kernel | None:
    """The compiled kernel, where it has one for so many rows and can read these tensors."""
    if q_NMD.shape[1] < _MANY_ROWS or not k_NSD.shape[1] or not many_fits(q_NMD, k_NSD, v_NSE) or not has_products():
        return None
    kernel = _wanted_kernel()
    return None if isinstance(kernel, str) or kernel.many is None else kernel


def _in_order(
    q_NMD: Tensor, runs: Runs, scoring: Scoring, weighed: tuple[Tensor, Tensor] | None = None
) -> Partial | None:
    """Attention of many rows to keys that lie side by side, turned as they are read; None where there is no such
    kernel. `weighed` as for `attend_many`.
    """
    alike = runs.turn is None or len(runs.turn.position_NX) == 1
    if not runs.in_order or not alike or runs.skip_N is not None or scoring.softcap is not None:
        return None
    k_NKD, v_NKE = runs.k_GSD[:, : runs.keys], runs.v_GSE[:, : runs.keys]
    kernel = _for_many(q_NMD, k_NKD, v_NKE)
    if kernel is None:
        return None
    visible = runs.bounds(q_NMD.shape[1])
    return attend_many(kernel, q_NMD, k_NKD, v_NKE, scoring.scale, visible, runs.turn, weighed)


def _asked(q_HD: Tensor, met: Meeting, scoring: Scoring, logits: bool) -> Asked:
    q_NMD = q_HD.view(len(met.runs.heads_N), -1, q_HD.shape[-1])
    return Asked(q_NMD, met.runs, scoring.scale, scoring.softcap, met.angles, logits)


def _gathered_together(
    parts: Sequence[Asked], scoring: Scoring, sinks_H: Tensor | None
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """One softmax of every head over all parts, by torch: `[H, E]`, `[H]`, and logits of each part."""
    found = [_gathered(asked.turned_NMD, asked.runs, scoring, asked.logits) for asked in parts]
    flat = [Partial(part.out_NME.flatten(0, 1).unsqueeze(1), part.lse_NM.flatten().unsqueeze(1)) for part, _ in found]
    whole = merge(flat, None if sinks_H is None else sinks_H.unsqueeze(1))
    return whole.out_NME[:, 0], whole.lse_NM[:, 0], [logits_NMK for _, logits_NMK in found]
