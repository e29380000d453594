"""The compiled kernel in this process: loaded once, or the reason why there is none."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farspan import env
from farspan.attention.native import build


@dataclass(frozen=True, slots=True)
class Kernel:
    """The functions of attend.c and product.c, and `team`: what runs them on torch's threads, None for one thread.

    torch's own OpenMP is asked, whichever that is; a second one would have threads that fight with torch's.
    """

    attend: Any
    attend_token: Any
    product: Any
    team: int | None
    compiler: str


@functools.cache
def load() -> Kernel | str:
    """The kernel, or why there is none."""
    try:
        return _from(env.home() / "kernels")
    except build.BuildError as error:
        return str(error)
    except OSError:
        return _from_temporary()


def _from_temporary() -> Kernel | str:
    """The home cannot be used: the library is made for this process alone."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _from(Path(folder))
    except (OSError, build.BuildError) as error:
        return str(error)


def _from(folder: Path) -> Kernel:
    path, compiler = build.library(folder)
    functions = ctypes.CDLL(str(path))
    attend, token, product = functions.farspan_attend, functions.farspan_attend_token, functions.farspan_product
    pointer = ctypes.c_void_p
    attend.argtypes, token.argtypes = (pointer,), (pointer, ctypes.c_int64, *(pointer,) * 5)
    product.argtypes = (*(pointer,) * 3, *(ctypes.c_int64,) * 4, pointer, ctypes.c_int64)
    product.restype = None
    return Kernel(attend, token, product, _team(), compiler)


def _team() -> int | None:
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None
