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
    """The functions of the C in this folder, and `team`: what runs them on torch's threads, None for one thread.

    `many` is None where the processor has no products of bfloat16.

    torch's own OpenMP is asked, whichever that is; a second one would have threads that fight with torch's.
    """

    attend: Any
    attend_token: Any
    many: Any
    products: Any
    gated: Any
    norm: Any
    before: Any
    after: Any
    match: Any
    keep: Any
    best: Any
    codes: Any
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
    pointer, number, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float

    def function(name: str, *types: Any, failing: bool = False) -> Any:
        found = getattr(functions, f"farspan_{name}")
        found.argtypes, found.restype = types, ctypes.c_int if failing else None
        return found

    functions.farspan_has_many.restype = ctypes.c_int
    return Kernel(
        attend=function("attend", pointer, failing=True),
        attend_token=function("attend_token", pointer, number, *(pointer,) * 5, failing=True),
        many=function("many", pointer, failing=True) if functions.farspan_has_many() else None,
        products=function("products", *(pointer,) * 2, *(number,) * 4, pointer, number),
        gated=function("gated", *(pointer,) * 2, *(number,) * 3, pointer, number),
        norm=function("norm", *(pointer,) * 3, *(number,) * 3, real),
        before=function("before", *(pointer,) * 4, *(number,) * 3, real, pointer, number),
        after=function("after", *(pointer,) * 5, *(number,) * 4, real, pointer, number),
        match=function("match", pointer, failing=True),
        keep=function("keep", pointer, *(number,) * 4, pointer, number),
        best=function("best", pointer, *(number,) * 4, pointer),
        codes=function("codes", pointer, failing=True),
        team=_team(),
        compiler=compiler,
    )


def _team() -> int | None:
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None
