"""Hands the products of weight matrices and a few rows, and what a layer makes of them, to the compiled kernel.

Shapes: I inputs, O outputs; `...` stands for the axes of a batch, M rows in all.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers.activations import SiLUActivation

from farspan.attention.native.library import Kernel
from farspan.attention.native.structs import KINDS, is_plain, room

_MOST_ROWS = {torch.float32: 4, torch.bfloat16: 2, torch.float16: 4}
"""With more rows, torch's products of matrices are faster."""

SILU = nn.SiLU, SiLUActivation
"""The activations that stand between the products of `gated`."""
Matrix = tuple[Tensor, Tensor | None]
"""Weights `[O, I]` and, if there is one, the bias `[O]`."""


class Norming(NamedTuple):
    """The weights of a norm, and what is added to the mean square."""

    weight_I: Tensor
    epsilon: float


_MOST_NORMED_ROWS = 64
_PACKING = {count: struct.Struct(f"@{4 * count}q") for count in (1, 3, 4)}


def fits(x: Tensor, *matrices: Matrix) -> bool:
    """Whether the kernel can read `x` `[..., I]` and matrices, and is faster than torch."""
    dtype = x.dtype
    if not 0 < x.numel() <= _MOST_ROWS.get(dtype, 0) * x.shape[-1]:
        return False
    return all(_readable(weight, dtype) and (bias is None or _readable(bias, dtype)) for weight, bias in matrices)


def products(kernel: Kernel, x: Tensor, matrices: Sequence[Matrix]) -> list[Tensor]:
    """`x W^T + b` of each: `[..., I]` to `[..., O]`. Sums are made in float32, whatever the dtype of all."""
    made, rows = _made(x, matrices)
    read, inputs = _floats(x), x.shape[-1]
    kernel.products(read.data_ptr(), _packed(matrices, made), len(made), rows, inputs, *_how(kernel, x))
    return _like(x, made)


def gated(kernel: Kernel, x: Tensor, matrices: Sequence[Matrix]) -> Tensor:
    """`(silu(x G^T) * (x U^T)) D^T` with the biases of these three matrices: `[..., I]` to `[..., O]`."""
    made, rows = _made(x, matrices)
    read, inputs = _floats(x), x.shape[-1]
    kernel.gated(read.data_ptr(), _packed(matrices, made), rows, inputs, *_how(kernel, x))
    return _like(x, made[2:])[0]


def norm(kernel: Kernel, x: Tensor, by: Norming) -> Tensor:
    """Every row by its root mean square, times the weights: `[..., I]` to `[..., I]`."""
    read, inputs = _floats(x), x.shape[-1]
    y = room(*x.shape)
    addresses = read.data_ptr(), by.weight_I.data_ptr(), y.data_ptr()
    kernel.norm(*addresses, x.numel() // inputs, inputs, KINDS[x.dtype], by.epsilon)
    return _like(x, [y])[0]


def before_attention(kernel: Kernel, x: Tensor, by: Norming, matrices: Sequence[Matrix]) -> list[Tensor]:
    """The products of x, normed, with three matrices: `[..., I]` to `[..., O]` each."""
    made, rows = _made(x, matrices)
    read, normed = _floats(x), room(*x.shape)
    addresses = read.data_ptr(), by.weight_I.data_ptr(), normed.data_ptr(), _packed(matrices, made)
    kind, *team = _how(kernel, x)
    kernel.before(*addresses, rows, x.shape[-1], kind, by.epsilon, *team)
    return _like(x, made)


def after_attention(kernel: Kernel, x: Tensor, found: Tensor, by: Norming, matrices: Sequence[Matrix]) -> Tensor:
    """What attention found, `[..., H]`, times the first matrix is added to x; that, normed, goes through the gated
    network of the other three, which adds to it: `[..., I]`.
    """
    made, rows = _made(x, matrices)
    read, normed, given = _floats(x), room(*x.shape), _floats(found)
    addresses = read.data_ptr(), given.data_ptr(), by.weight_I.data_ptr(), normed.data_ptr(), _packed(matrices, made)
    kind, *team = _how(kernel, x)
    kernel.after(*addresses, rows, x.shape[-1], found.shape[-1], kind, by.epsilon, *team)
    return _like(x, made[3:])[0]


def norm_fits(x: Tensor, by: Norming) -> bool:
    """Whether the kernel can read rows and weights, and these are few."""
    few = 0 < x.numel() <= _MOST_NORMED_ROWS * x.shape[-1]
    return few and x.dtype in KINDS and x.is_cpu and _readable(by.weight_I, x.dtype)


def _readable(weight: Tensor, dtype: torch.dtype) -> bool:
    return is_plain(weight) and weight.dtype is dtype and weight.is_cpu and weight.is_contiguous()


def _made(x: Tensor, matrices: Sequence[Matrix]) -> tuple[list[Tensor], int]:
    """Room for the product with each matrix, and how many rows there are."""
    axes = x.shape[:-1]
    return [room(*axes, len(weight)) for weight, _ in matrices], axes.numel()


def _packed(matrices: Sequence[Matrix], made: Sequence[Tensor]) -> bytes:
    """`struct matrix` of each."""
    numbers = list[int]()
    for (weight, bias), y in zip(matrices, made, strict=True):
        numbers += (weight.data_ptr(), 0 if bias is None else bias.data_ptr(), y.data_ptr(), y.shape[-1])
    return _PACKING[len(made)].pack(*numbers)


def _how(kernel: Kernel, x: Tensor) -> tuple[int, int | None, int]:
    return KINDS[x.dtype], kernel.team, torch.get_num_threads()


def _floats(x: Tensor) -> Tensor:
    return x.float().contiguous()


def _like(x: Tensor, made: list[Tensor]) -> list[Tensor]:
    return made if x.dtype is torch.float32 else [y.to(x.dtype) for y in made]
