"""Triton's kernels in this process: imported and tried once, or the reason why there are none."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from farspan import env


@dataclass(frozen=True, slots=True)
class Kernels:
    """The functions of `attend.py`, and in which dtype of Triton's they multiply keys of a dtype of torch's.

    Those that are `interpreted` run on the CPU, to be tested: numpy is put in the place of the compiler.
    """

    attend: Any
    join: Any
    products: Mapping[torch.dtype, Any]
    interpreted: bool
    version: str


@functools.cache
def load() -> Kernels | str:
    """The kernels, or why there are none."""
    if not torch.cuda.is_available() and not env.triton_is_interpreted():
        return "there is no GPU"
    try:
        kernels = _imported()
        if not kernels.interpreted:
            _try(kernels)
    except ImportError as error:
        return f"Triton cannot be imported, pip install 'farspan[gpu]' brings it: {error}"
    except Exception as error:  # whatever its compiler or the driver raises, torch can do without
        return f"Triton does not work here: {error}"
    return kernels


def _imported() -> Kernels:
    import triton
    import triton.language as tl

    from farspan.attention.gpu import attend

    interpreted = triton.knobs.runtime.interpret
    products = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
    if interpreted:  # its products of bfloat16 are those of the bits
        products = dict.fromkeys(products, tl.float32)
    return Kernels(attend.attend, attend.join, products, interpreted, triton.__version__)


def _try(kernels: Kernels) -> None:
    """Compile and run the smaller kernel: a machine may have Triton, but not what its launcher is compiled with."""
    x_PRE = torch.ones(1, 1, 16, device="cuda")
    x_PR, x_R = x_PRE[..., 0].contiguous(), x_PRE[0, 0]
    out, lse = torch.empty_like(x_PRE), torch.empty_like(x_R)
    kernels.join[(1,)](x_PRE, x_PR, None, out, lse, 1, 1, 16, 16, 16, 16, enable_fp_fusion=True)
    torch.cuda.synchronize()
