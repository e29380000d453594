"""The linear layers of a hosted model, for one token or a few: read weights as fast as memory gives them.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from farspan.attention.kernels import native_kernel
from farspan.attention.native.product import fits, product


class Linear(nn.Linear):
    """torch's linear layer; where it is run for a few rows on a CPU, by farspan's kernel.

    Results are those of torch up to the rounding of sums, which are made in float32 whatever the weights' dtype.
    """

    def forward(self, input: Tensor) -> Tensor:
        """`[..., I]` to `[..., O]`."""
        if torch.is_grad_enabled() or not fits(input, self.weight):
            return super().forward(input)
        kernel = native_kernel()
        if isinstance(kernel, str):
            return super().forward(input)
        y = product(kernel, input, self.weight)
        return (y if self.bias is None else y.add_(self.bias)).to(self.weight.dtype)


def hasten(body: nn.Module) -> None:
    """Have the plain linear layers of a twin run as `Linear`; what derives from nn.Linear stays what it is."""
    for module in body.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
