"""The linear layers of a hosted model: of one token or a few as fast as memory gives the weights, of many in the number
type that the processor multiplies fastest.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from farspan.attention.kernels import native_kernel
from farspan.attention.native.library import Kernel
from farspan.attention.native.product import Matrix, fits, products
from farspan.attention.processor import linear


class Linear(nn.Linear):
    """torch's linear layer; run for a few rows on a CPU by farspan's kernel, for many in float32 where the CPU has no
    products of the weights' dtype.

    Results are those of torch up to the rounding of sums, which are made in float32 whatever the weights' dtype.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[..., I]` to `[..., O]`."""
        matrix = None if torch.is_grad_enabled() else matrix_of(self)
        return super().forward(input) if matrix is None else product(input, matrix)


def product(x: Tensor, matrix: Matrix) -> Tensor:
    """`x W^T + b`: `[..., I]` to `[..., O]`, by what is fastest; no gradients are kept."""
    kernel = kernel_for(x, matrix)
    return linear(x, *matrix) if kernel is None else products(kernel, x, (matrix,))[0]


def kernel_for(x: Tensor, *matrices: Matrix) -> Kernel | None:
    """The compiled kernel, where there is one, it can read `x` and the matrices, and is faster than torch."""
    kernel = native_kernel() if fits(x, *matrices) else None
    return None if isinstance(kernel, str) else kernel


def matrix_of(layer: nn.Module) -> Matrix | None:
    """The weights of a linear layer, by a shorter way than its attributes; None if they are made anew at every call."""
    parameters = layer._parameters
    weight_OI = parameters.get("weight")
    return None if weight_OI is None else (weight_OI, parameters["bias"])
