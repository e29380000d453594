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
        weight_OI, bias_O = self.weight, self.bias
        kernel = None if torch.is_grad_enabled() or not fits(input, weight_OI) else native_kernel()
        if kernel is None or isinstance(kernel, str):
            return nn.functional.linear(input, weight_OI, bias_O)
        y = product(kernel, input, weight_OI)
        return (y if bias_O is None else y.add_(bias_O)).to(weight_OI.dtype)


def hasten(body: nn.Module) -> None:
    """Have the plain linear layers of a twin run as `Linear`; what derives from nn.Linear stays what it is."""
    for module in body.modules():
        if type(module) is nn.Linear:
            module.__class__ = Linear
