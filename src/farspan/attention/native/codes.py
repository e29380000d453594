"""Hands queries and keys that are stored as small whole numbers to the compiled kernel.

Shapes: G KV heads, M queries of each, D key width, n blocks, B tokens in a block.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.codes import CodedKeys
from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import Codes, Held, array, room

_THREAD_KEYS = 1024


def fits(q_GMD: Tensor, keys: CodedKeys) -> bool:
    """Whether the kernel can read these."""
    code, grid = keys.code_GnBW, keys.grid_GngD2
    readable = code.is_cpu and grid.is_cpu and grid.dtype is torch.float16
    return q_GMD.is_cpu and readable and code.stride(-1) == 1 and grid.stride()[-2:] == (2, 1)


def products(kernel: Kernel, q_GMD: Tensor, keys: CodedKeys) -> Tensor:
    """The products of all queries of a head with all of its keys: `[G, M, n, B]`, float32."""
    code, grid, held = keys.code_GnBW, keys.grid_GngD2, Held()
    heads, blocks, tokens, _ = code.shape
    y_GMnB = room(heads, q_GMD.shape[1], blocks, tokens)
    codes = Codes(
        q=held.floats(q_GMD),
        heads=heads,
        queries=q_GMD.shape[1],
        width=q_GMD.shape[2],
        code=code.data_ptr(),
        code_head=code.stride(0),
        code_block=code.stride(1),
        code_token=code.stride(2),
        grid=grid.data_ptr(),
        grid_head=grid.stride(0) * grid.itemsize,
        grid_block=grid.stride(1) * grid.itemsize,
        grid_group=grid.stride(2) * grid.itemsize,
        bits=keys.bits,
        group=keys.group,
        blocks=blocks,
        tokens=tokens,
        products=y_GMnB.data_ptr(),
        team=kernel.team or 0,
        threads=min(torch.get_num_threads(), 1 + heads * blocks * tokens // _THREAD_KEYS),
    )
    if kernel.codes(array((codes,))):
        raise MemoryError("no memory is left to search among stored keys")
    return y_GMnB
