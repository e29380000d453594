"""Hands the product of a weight matrix and a few rows to the compiled kernel.

Shapes: I inputs, O outputs; `...` stands for the axes of a batch, M rows in all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS

_MOST_ROWS = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 4}
"""With more rows, torch's products of matrices are faster."""


def fits(x: Tensor, weight_OI: Tensor) -> bool:
    """Whether the kernel can read `x` `[..., I]` and the weights, and is faster than torch."""
    return (
        0 < x.numel() <= _MOST_ROWS.get(weight_OI.dtype, 0) * x.shape[-1]
        and x.dtype is weight_OI.dtype
        and weight_OI.is_cpu
        and weight_OI.is_contiguous()
    )


def product(kernel: Kernel, x: Tensor, weight_OI: Tensor) -> Tensor:
    """`x W^T` in float32: `[..., I]` to `[..., O]`."""
    outputs, inputs = weight_OI.shape
    y = torch.empty(*x.shape[:-1], outputs)
    x = x.float().contiguous()
    kind, threads = KINDS[weight_OI.dtype], torch.get_num_threads()
    addresses = weight_OI.data_ptr(), x.data_ptr(), y.data_ptr()
    kernel.product(*addresses, x.numel() // inputs, outputs, inputs, kind, kernel.team, threads)
    return y
