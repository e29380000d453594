"""What the C of this folder is handed: structs of numbers and addresses, written at once."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}


@dataclass(slots=True, kw_only=True)
class Job:
    """`struct job` of attend.c, up to what is made there; an address is 0 where there is nothing."""

    q: int
    k: int
    v: int
    k_head: int
    k_token: int
    v_head: int
    v_token: int
    heads: int
    first: int
    first_row: int
    searches: int
    rows: int
    length: int
    keys: int
    key_width: int
    value_width: int
    kind: int
    turned: int = 0
    frequencies: int = 0
    interleaved: int = 0
    start_row: int = 0
    keys_only: int = 0
    start_cos: int = 0
    start_sin: int = 0
    within_cos: int = 0
    within_sin: int = 0
    skip: int = 0
    tokens: int
    low: int
    high: int
    least: int
    scale: float
    softcap: float
    out: int = 0
    lse: int = 0
    logits: int = 0
    q_cos: int = 0
    q_sin: int = 0
    place: int = 0
    place_row: int = 0
    mass: int = 0
    mass_row: int = 0
    pieces: int
    piece: int
    team: int
    threads: int


@dataclass(slots=True, kw_only=True)
class Product:
    """`struct product` of product.c, up to what is made there."""

    w: int
    x: int
    y: int
    rows: int
    outputs: int
    inputs: int
    kind: int
    threads: int
    team: int


class Layout:
    """How structs of one type lie in memory: eight bytes a field, but floats side by side, and room for what C makes."""

    def __init__(self, kind: type[Any], made: int) -> None:
        kinds = "".join("f" if field.type == "float" else "q" for field in fields(kind))
        self._struct = struct.Struct(f"@{kinds}{8 * made}x")
        self._values = attrgetter(*(field.name for field in fields(kind)))

    def array(self, items: Iterable[Any]) -> ctypes.Array[ctypes.c_char]:
        """The structs one after the other, which C may write to."""
        packed = b"".join(self._struct.pack(*self._values(item)) for item in items)
        return ctypes.create_string_buffer(packed, len(packed))


JOBS, PRODUCTS = Layout(Job, 6), Layout(Product, 1)


class Held:
    """Addresses of tensors as C reads them; holds the copies that had to be made for it."""

    def __init__(self) -> None:
        self._copies: list[Tensor] = []

    def floats(self, x: Tensor) -> int:
        """A tensor without gaps, in float32."""
        return self._address(x, torch.float32)

    def integers(self, x: Tensor) -> int:
        """A tensor without gaps, in int64."""
        return self._address(x, torch.int64)

    def rows(self, x: Tensor) -> tuple[int, int]:
        """Rows without gaps in them, in int64, and how far they are apart: not at all where one serves all."""
        if x.dtype is not torch.int64 or x.stride(1) != 1:
            x = x.to(torch.int64).contiguous()
            self._copies.append(x)
        return x.data_ptr(), 0 if len(x) == 1 else x.stride(0)

    def _address(self, x: Tensor, dtype: torch.dtype) -> int:
        if x.dtype is not dtype or not x.is_contiguous():
            x = x.to(dtype).contiguous()
            self._copies.append(x)
        return x.data_ptr()
