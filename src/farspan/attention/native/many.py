"""Hands the attention of many rows in bfloat16 to the compiled kernel.

Shapes: N problems, M query rows, K keys, D key width, E value width, F rotary frequencies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import Held, Many, array, memory, room
from farspan.attention.runs import Turn
from farspan.attention.softmax import Partial
from farspan.attention.visible import Visible


def attend_many(
    kernel: Kernel,
    q_NMD: Tensor,
    k_NKD: Tensor,
    v_NKE: Tensor,
    scale: float,
    visible: Visible,
    turn: Turn | None = None,
    weighed: tuple[Tensor, Tensor] | None = None,
) -> Partial:
    """Attention of rows that are the tokens of `visible`, once for each head, all in bfloat16.

    Keys are turned as `turn` has it, which is the same for all problems. `weighed` are the log-sum-exp of all other
    logits of each row `[N, M]`, and what grows by how much each key receives of all attention `[N, K]`.
    """
    problems, rows, _ = q_NMD.shape
    held = Held()
    out_NME, lse_NM = room(problems, rows, v_NKE.shape[2]), room(problems, rows)
    many = Many(
        q=held.as_it_is(q_NMD),
        **memory(k_NKD, v_NKE),
        problems=problems,
        heads=rows // visible.tokens,
        tokens=visible.tokens,
        keys=k_NKD.shape[1],
        key_width=k_NKD.shape[2],
        value_width=v_NKE.shape[2],
        low=visible.low,
        high=visible.high,
        least=visible.least,
        scale=scale,
        out=out_NME.data_ptr(),
        lse=lse_NM.data_ptr(),
        team=kernel.team or 0,
        threads=torch.get_num_threads(),
    )
    if turn is not None:
        many.cos, many.sin = map(held.floats, turn.whole)
        many.frequencies, many.interleaved = turn.rope.width // 2, turn.rope.interleaved
    if weighed is not None:
        others_NM, mass_NK = weighed
        many.others, many.mass, many.mass_row = held.floats(others_NM), mass_NK.data_ptr(), mass_NK.stride(0)
    if kernel.many(array((many,))):
        raise MemoryError("no memory is left for attention")
    return Partial(out_NME, lse_NM)


def fits(q_NMD: Tensor, k_NKD: Tensor, v_NKE: Tensor) -> bool:
    """Whether the kernel can read these: bfloat16 on the CPU, rows without gaps."""
    return q_NMD.is_cpu and all(x.dtype is torch.bfloat16 and x.stride(2) == 1 for x in (q_NMD, k_NKD, v_NKE))
