"""Hands the product of a weight matrix and a few rows to the compiled kernel.

Shapes: M rows, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS

_MOST_ROWS = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 4}
"""With more rows, torch's products of matrices are faster."""


def fits(x_MI: Tensor, weight_OI: Tensor) -> bool:
    """Whether the kernel can read these tensors and is faster than torch."""
    return (
        0 < x_MI.shape[0] <= _MOST_ROWS.get(weight_OI.dtype, 0)
        and x_MI.dtype is weight_OI.dtype
        and weight_OI.is_cpu
        and weight_OI.is_contiguous()
    )


def product(kernel: Kernel, x_MI: Tensor, weight_OI: Tensor) -> Tensor:
    """`x W^T` in float32: `[M, O]`."""
    outputs, inputs = weight_OI.shape
    rows, x_MI = x_MI.shape[0], x_MI.float().contiguous()
    y_MO = torch.empty(rows, outputs)
    kind, threads = KINDS[weight_OI.dtype], torch.get_num_threads()
    addresses = weight_OI.data_ptr(), x_MI.data_ptr(), y_MO.data_ptr()
    kernel.product(*addresses, rows, outputs, inputs, kind, kernel.team, threads)
    return y_MO
