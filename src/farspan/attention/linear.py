"""The linear layers of a hosted model, for one token or a few: read weights as fast as memory gives them.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from farspan.attention.kernels import native_kernel
from farspan.attention.native.product import Matrix, fits, products


class Linear(nn.Linear):
    """torch's linear layer; where it is run for a few rows on a CPU, by farspan's kernel.

    Results are those of torch up to the rounding of sums, which are made in float32 whatever the weights' dtype.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[..., I]` to `[..., O]`."""
        matrix = matrix_of(self)
        kernel = None if torch.is_grad_enabled() or not fits(input, matrix) else native_kernel()
        if kernel is None or isinstance(kernel, str):
            return nn.functional.linear(input, *matrix)
        return products(kernel, input, (matrix,))[0]


def matrix_of(layer: nn.Module) -> Matrix:
    """The weights of a linear layer, by a shorter way than its attributes."""
    parameters = layer._parameters
    weight_OI = parameters["weight"]
    assert weight_OI is not None
    return weight_OI, parameters["bias"]
