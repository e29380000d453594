"""Rotary position embedding as a value: frequencies, and how they turn queries and keys.

Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", https://arxiv.org/abs/2104.09864

Legend: T tokens, D width of a head, W rotated dims of a head (W <= D), F frequencies (F = W / 2), `...` any batch dims
such as heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rope:
    """How one kind of layer turns positions into rotations.

    The first `width` dims of a head are turned, the others pass. Frequency f turns dims (f, f + F), or the neighbours
    (2f, 2f + 1) where `interleaved`. cos and sin are multiplied by `attention_scaling` for queries and keys alike.
    `base` is that of whose powers the frequencies were made, before anything scaled them; None: it is not known.
    """

    inv_freq_F: Tensor
    attention_scaling: float = 1.0
    interleaved: bool = False
    base: float | None = None

    @property
    def width(self) -> int:
        """How many dims of a head are turned."""
        return 2 * self.inv_freq_F.shape[0]

    def pairs(self) -> Tensor:
        """The two dims that each frequency turns together: `[F, 2]`."""
        dim_W = torch.arange(self.width, device=self.inv_freq_F.device)
        return dim_W.view(-1, 2) if self.interleaved else dim_W.view(2, -1).T

    def table(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin of every angle, float32, shape `[..., T, F]` for `positions` of shape `[..., T]` (int or float).

        The angles are taken in float32 on the device of `positions`, as transformers takes them.
        """
        inv_freq_F = self.inv_freq_F.to(positions.device)
        angles_TF = positions.to(torch.float32).unsqueeze(-1) * inv_freq_F
        return angles_TF.cos() * self.attention_scaling, angles_TF.sin() * self.attention_scaling

    def apply(self, x: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """Turn `x` `[..., T, D]` by a `table` that broadcasts to `[..., T, F]`; the result has the dtype of `x`."""
        cos, sin = table
        turned, passed = x[..., : self.width].to(torch.float32), x[..., self.width :]
        first, second = self._halves(turned)
        out = torch.empty_like(turned)
        out_first, out_second = self._halves(out)
        torch.mul(first, cos, out=out_first).addcmul_(second, sin, value=-1)
        torch.mul(second, cos, out=out_second).addcmul_(first, sin)
        out = out.to(x.dtype)
        return torch.cat((out, passed), dim=-1) if passed.shape[-1] else out

    def rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        """Turn `x` `[..., T, D]` to `positions` `[T]` or anything that broadcasts to `[..., T]`.

        To turn many tensors to the same positions, make the `table` once and `apply` it.
        """
        return self.apply(x, self.table(positions))

    def at_start(self, x: Tensor) -> Tensor:
        """`x` `[..., D]` at position 0, where nothing is turned but all that could be is scaled."""
        if self.attention_scaling == 1:
            return x
        scaled, passed = x[..., : self.width] * self.attention_scaling, x[..., self.width :]
        return torch.cat((scaled, passed), dim=-1)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the second dim of every pair: `[..., W]` to two of `[..., F]`."""
        if self.interleaved:
            return x[..., 0::2], x[..., 1::2]
        first, second = x.chunk(2, dim=-1)
        return first, second
