"""Which number types this processor multiplies at a speed of its own, and products in the others by way of float32.

torch multiplies half precision on every processor, but on one without instructions for it several times as slowly as
float32: most laptops have none for bfloat16. There, what is small is made float32 before it is multiplied; weights and
keys stay as they are stored.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from farspan.attention.native.structs import is_plain

_TILE_WEIGHTS = 1 << 20
_LEAST_ROWS = 4
"""Fewer are read by torch at the speed of memory whatever their dtype, if weights lie output by output."""


def has_products() -> bool:
    """Whether this CPU multiplies bfloat16 at a speed of its own, and torch's flash kernel makes nothing of it."""
    # An older torch does not say; with AMX the flash kernel has products in bfloat16 itself.
    cpu = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
    return cpu.get("avx512_bf16", False) and not cpu.get("amx_bf16", False) and torch.backends.mkldnn.is_available()


@cache
def lacks_products(dtype: torch.dtype) -> bool:
    """Whether torch multiplies matrices of this dtype on this CPU by a plain loop, several times as slow as float32."""
    supported = {torch.bfloat16: "_is_mkldnn_bf16_supported", torch.float16: "_is_mkldnn_fp16_supported"}
    if dtype not in supported:
        return False
    asks = getattr(torch.ops.mkldnn, supported[dtype], None) if torch.backends.mkldnn.is_available() else None
    return asks is None or not asks()


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """`torch.matmul`; where the CPU has no products of this dtype and there are more than a few rows, in float32."""
    if left.is_cpu and left.shape[-2] >= _LEAST_ROWS and lacks_products(left.dtype):
        return torch.matmul(left.float(), right.float())
    return torch.matmul(left, right)


def linear(x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """`x W^T + b`: `[..., I]` to `[..., O]`; the same for weights, a tile of them after the other."""
    few = x.numel() < _LEAST_ROWS * x.shape[-1] and weight_OI.is_contiguous()
    if few or not x.is_cpu or not weight_OI.is_cpu or not is_plain(weight_OI) or not lacks_products(x.dtype):
        return nn.functional.linear(x, weight_OI, bias_O)
    read, step = x.float(), max(1, _TILE_WEIGHTS // weight_OI.shape[1])
    made = []
    for start in range(0, len(weight_OI), step):
        bias = None if bias_O is None else bias_O[start : start + step].float()
        made.append(nn.functional.linear(read, weight_OI[start : start + step].float(), bias).to(x.dtype))
    return torch.cat(made, -1)
