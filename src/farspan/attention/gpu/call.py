"""Hands runs to the kernels for GPUs: the memory of tensors as it is, no copies of keys or values.

Shapes as in `farspan.attention.runs`, P pieces of a search's keys, R rows of all searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from farspan.attention.gpu.library import Kernels
from farspan.attention.runs import Runs, Table, Turn
from farspan.attention.visible import Visible

MOST_ROWS = 32
_MOST_WIDTH = 256
_LEAST_BLOCK = 16
_MOST_TILE, _TILE_BYTES = 64, 8192
_PROGRAMS, _LEAST_PIECE = 512, 256
_JOINED = 16
"""Sizes at which registers and shared memory hold what a program works with, on smaller GPUs too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Queries, what they meet, and how dots become logits; `angles` if they are still to be turned, cos and sin
    `[1, F]`. `logits` says whether these are wanted.
    """

    q_NMD: Tensor
    runs: Runs
    scale: float
    softcap: float | None
    angles: Table | None = None
    logits: bool = False

    @property
    def visible(self) -> Visible:
        """Which keys the rows see."""
        return self.runs.bounds(self.q_NMD.shape[1])

    @property
    def turned_NMD(self) -> Tensor:
        """The queries turned."""
        if self.angles is None or self.runs.turn is None:
            return self.q_NMD
        return self.runs.turn.rope.apply(self.q_NMD, self.angles)

    def empty_logits(self) -> Tensor:
        """Logits `[N, M, K]` as they are where no key is seen."""
        shape = (*self.q_NMD.shape[:2], self.runs.keys)
        return self.q_NMD.new_full(shape, float("-inf"), dtype=torch.float32)


class Cut(NamedTuple):
    """The keys that any row sees, in `pieces` of `piece` keys each: by the shapes alone, whatever the GPU."""

    seen: range
    pieces: int
    piece: int

    @classmethod
    def of(cls, asked: Asked) -> Cut:
        """How the keys are cut."""
        seen = asked.visible.seen(range(asked.visible.tokens), asked.runs.keys)
        wished = max(1, min(-(-_PROGRAMS // len(asked.q_NMD)), len(seen) // _LEAST_PIECE))
        piece = max(1, -(-len(seen) // (wished * _MOST_TILE))) * _MOST_TILE
        return cls(seen, max(1, -(-len(seen) // piece)), piece)


def fits(kernels: Kernels, asked: Asked) -> bool:
    """Whether the kernels can read these tensors, and the rows are few enough to gain by it."""
    q_NMD, runs = asked.q_NMD, asked.runs
    k, v = runs.k_GSD, runs.v_GSE
    others = () if runs.elsewhere is None else runs.elsewhere.memories
    return (
        (q_NMD.is_cuda or kernels.interpreted)
        and q_NMD.numel() > 0
        and q_NMD.shape[1] <= MOST_ROWS
        and runs.keys > 0
        and max(k.shape[2], v.shape[2]) <= _MOST_WIDTH
        and k.dtype in kernels.products
        and len(others) <= 1
        and all(x.dtype is k.dtype and x.stride(2) == 1 for x in (k, v, *sum(others, ())))
    )


def attend(kernels: Kernels, asked: Asked) -> tuple[Tensor, Tensor, Tensor | None]:
    """Output `[N, M, E]`, log-sum-exp `[N, M]` and, if they are wanted, logits `[N, M, K]`: all float32."""
    shape = asked.q_NMD.shape[:2]
    out_RE, lse_R, (logits_NMK,) = attend_together(kernels, [asked], None)
    return out_RE.unflatten(0, shape), lse_R.unflatten(0, shape), logits_NMK


def attend_together(
    kernels: Kernels, parts: Sequence[Asked], sinks_R: Tensor | None
) -> tuple[Tensor, Tensor, list[Tensor | None]]:
    """One softmax of every row over all parts and a logit without a value: `[R, E]`, `[R]`, and logits of each part.

    Rows are those of a part's searches, one after the other, and every part has as many.
    """
    cuts, q_NMD = [Cut.of(asked) for asked in parts], parts[0].q_NMD
    pieces, rows, width = sum(cut.pieces for cut in cuts), q_NMD.shape[:2].numel(), parts[0].runs.v_GSE.shape[2]
    out_PRE = q_NMD.new_empty((pieces, rows, width), dtype=torch.float32)
    lse_PR = q_NMD.new_empty((pieces, rows), dtype=torch.float32)
    logits = [asked.empty_logits() if asked.logits else None for asked in parts]
    with torch.cuda.device_of(q_NMD):
        first = 0
        for asked, cut, logits_NMK in zip(parts, cuts, logits, strict=True):
            _launch(kernels, asked, cut, out_PRE[first:], lse_PR[first:], logits_NMK)
            first += cut.pieces
        if pieces == 1 and sinks_R is None:
            return out_PRE[0], lse_PR[0], logits
        whole_RE, whole_R = torch.empty_like(out_PRE[0]), torch.empty_like(lse_PR[0])
        sinks_R = None if sinks_R is None else sinks_R.float().contiguous()
        blocks = width, _block(width), _block(pieces), _JOINED
        kernels.join[(rows,)](out_PRE, lse_PR, sinks_R, whole_RE, whole_R, pieces, rows, *blocks, enable_fp_fusion=True)
    return whole_RE, whole_R, logits


def key_logits(kernels: Kernels, asked: Asked) -> Tensor:
    """The logits `[N, M, K]` in float32, and nothing of the values."""
    logits_NMK = asked.empty_logits()
    with torch.cuda.device_of(logits_NMK):
        _launch(kernels, asked, Cut.of(asked), None, None, logits_NMK)
    return logits_NMK


def _launch(
    kernels: Kernels, asked: Asked, cut: Cut, out_PRE: Tensor | None, lse_PR: Tensor | None, logits_NMK: Tensor | None
) -> None:
    """Set all pieces of a part going, to be written one after the other from `out_PRE` and `lse_PR` on."""
    runs, visible = asked.runs, asked.visible
    q_NMD = asked.q_NMD if asked.q_NMD.stride(2) == 1 else asked.q_NMD.contiguous()
    searches, rows, width = q_NMD.shape
    dtype, value_width = runs.k_GSD.dtype, runs.v_GSE.shape[2]
    tile = _TILE_BYTES // (_block(max(width, value_width)) * dtype.itemsize)
    kernels.attend[(searches, cut.pieces)](
        q_NMD=q_NMD,
        out_PRE=out_PRE,
        lse_PR=lse_PR,
        logits_NMK=logits_NMK,
        q_search=q_NMD.stride(0),
        q_row=q_NMD.stride(1),
        rows=rows,
        all_rows=searches * rows,
        begin=cut.seen.start,
        end=cut.seen.stop,
        piece=cut.piece,
        tokens=visible.tokens,
        low=visible.low,
        high=visible.high,
        least=visible.least,
        scale=asked.scale,
        softcap=asked.softcap,
        D=width,
        E=value_width,
        M_BLOCK=_block(rows),
        S_BLOCK=max(_LEAST_BLOCK, min(_MOST_TILE, tile)),
        E_BLOCK=_block(value_width),
        PRODUCTS=kernels.products[dtype],
        num_stages=1 if dtype is torch.float32 else 2,
        enable_fp_fusion=True,
        **_lying(runs),
        **_turned(runs.turn, asked.angles, width),
    )


def _lying(runs: Runs) -> dict[str, Any]:
    """Where the keys and values of runs lie."""
    own = runs.k_GSD, runs.v_GSE
    (k, v), (other_k, other_v) = own, own if runs.elsewhere is None else runs.elsewhere.memories[0]
    memory, memory_row = (None, 0) if runs.elsewhere is None else _rows(runs.elsewhere.which_NX)
    first, first_row = _rows(runs.first_NX)
    lying = {
        "k_GSD": k,
        "v_GSE": v,
        "other_k_GSD": other_k,
        "other_v_GSE": other_v,
        "memory_NX": memory,
        "memory_row": memory_row,
        "heads_N": runs.heads_N.contiguous(),
        "first_NX": first,
        "first_row": first_row,
        "skip_N": None if runs.skip_N is None else runs.skip_N.contiguous(),
        "length": runs.length,
        "keys": runs.keys,
    }
    for name, x in (("k", k), ("v", v), ("other_k", other_k), ("other_v", other_v)):
        lying |= {f"{name}_head": x.stride(0), f"{name}_token": x.stride(1)}
    return lying


def _turned(turn: Turn | None, angles: Table | None, width: int) -> dict[str, Any]:
    """How keys are turned, and queries that are not yet."""
    start_cos, start_sin = (None, None) if turn is None else turn.start
    within_cos, within_sin = (None, None) if turn is None or turn.within is None else turn.within
    q_cos, q_sin = (None, None) if turn is None or angles is None else (x.float().contiguous() for x in angles)
    frequencies = 0 if turn is None else turn.rope.width // 2
    step, apart = (2, 1) if turn is not None and turn.rope.interleaved else (1, frequencies)
    return {
        "q_cos_F": q_cos,
        "q_sin_F": q_sin,
        "start_cos_NXF": start_cos,
        "start_sin_NXF": start_sin,
        "start_row": 0 if start_cos is None or len(start_cos) == 1 else start_cos.shape[1],
        "within_cos_BF": within_cos,
        "within_sin_BF": within_sin,
        "F": frequencies,
        "F_STEP": step,
        "F_APART": apart,
        "F_BLOCK": _block(frequencies),
        "U_BLOCK": _block(width - 2 * frequencies),
    }


def _rows(x: Tensor) -> tuple[Tensor, int]:
    """Rows without gaps in them, in int64, and how far they are apart: not at all where one serves all."""
    x = x.long() if x.stride(1) == 1 else x.long().contiguous()
    return x, 0 if len(x) == 1 else x.stride(0)


def _block(size: int) -> int:
    """The least power of two that holds so many, and that products take."""
    return max(_LEAST_BLOCK, 1 << (size - 1).bit_length())
