"""Hands the product of a weight matrix and a few rows to the compiled kernel.

Shapes: M rows, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS, PRODUCTS, Held, Product

_MOST_ROWS = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 4}
"""With more rows, torch's products of matrices are faster."""


def fits(x_MI: Tensor, weight_OI: Tensor) -> bool:
    """Whether the kernel can read these tensors and is faster than torch."""
    return (
        0 < len(x_MI) <= _MOST_ROWS.get(weight_OI.dtype, 0)
        and weight_OI.is_cpu
        and x_MI.dtype is weight_OI.dtype
        and weight_OI.is_contiguous()
    )


def product(kernel: Kernel, x_MI: Tensor, weight_OI: Tensor) -> Tensor:
    """`x W^T` in float32: `[M, O]`."""
    held, rows = Held(), len(x_MI)
    outputs, inputs = weight_OI.shape
    y_MO = torch.empty(rows, outputs)
    work = Product(
        w=weight_OI.data_ptr(),
        x=held.floats(x_MI),
        y=y_MO.data_ptr(),
        rows=rows,
        outputs=outputs,
        inputs=inputs,
        kind=KINDS[weight_OI.dtype],
        threads=torch.get_num_threads(),
        team=kernel.team or 0,
    )
    kernel.product(PRODUCTS.array((work,)))
    return y_MO
