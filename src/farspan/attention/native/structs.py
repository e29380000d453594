"""What the C of this folder is handed: addresses of tensors, and structs of them that are written at once."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter

import torch
from torch import Tensor, nn

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
_PLAIN = {Tensor, nn.Parameter}


@dataclass(slots=True, kw_only=True)
class QueriesAndKeys:
    """What `struct job` and `struct many` begin with: queries, and where the keys and values lie that they meet."""

    q: int
    k: int
    v: int
    k_head: int
    k_token: int
    v_head: int
    v_token: int


@dataclass(slots=True, kw_only=True)
class Job(QueriesAndKeys):
    """`struct job` of attend.c, up to what is made there; an address is 0 where there is nothing."""

    others: int = 0
    memory: int = 0
    memory_row: int = 0
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
class Match:
    """`struct match` of search.c, up to what is made there."""

    q: int
    cos: int = 0
    sin: int = 0
    heads: int
    tokens: int
    width: int
    frequencies: int = 0
    interleaved: int = 0
    searches: int
    kv_heads: int
    k: int
    k_head: int
    k_row: int
    kind: int
    first: int
    rows: int
    best: int
    count: int
    team: int
    threads: int


@dataclass(slots=True, kw_only=True)
class Codes:
    """`struct codes` of codes.c, up to what is made there."""

    q: int
    heads: int
    queries: int
    width: int
    code: int
    code_head: int
    code_block: int
    code_token: int
    grid: int
    grid_head: int
    grid_block: int
    grid_group: int
    bits: int
    group: int
    blocks: int
    tokens: int
    products: int
    team: int
    threads: int


@dataclass(slots=True, kw_only=True)
class Many(QueriesAndKeys):
    """`struct many` of many.c, up to what is made there."""

    problems: int
    heads: int
    tokens: int
    keys: int
    key_width: int
    value_width: int
    cos: int = 0
    sin: int = 0
    frequencies: int = 0
    interleaved: int = 0
    low: int
    high: int
    least: int
    scale: float
    out: int
    lse: int
    others: int = 0
    mass: int = 0
    mass_row: int = 0
    team: int
    threads: int


Struct = Job | Match | Codes | Many


def _packing(struct_of: type[Struct], room: int) -> tuple[struct.Struct, attrgetter[tuple[int | float, ...]]]:
    """Eight bytes a field, floats side by side, and room for so many bytes that C makes."""
    numbers = "".join("f" if field.type == "float" else "q" for field in fields(struct_of))
    return struct.Struct(f"@{numbers}{room}x"), attrgetter(*(field.name for field in fields(struct_of)))


_PACKING = {Job: _packing(Job, 56), Match: _packing(Match, 24), Codes: _packing(Codes, 32), Many: _packing(Many, 80)}


def array(structs: Sequence[Struct]) -> ctypes.Array[ctypes.c_char]:
    """Structs of one kind, one after the other, which C may write to."""
    layout, values = _PACKING[type(structs[0])]
    packed = b"".join(layout.pack(*values(one)) for one in structs)
    return ctypes.create_string_buffer(packed, len(packed))


def memory(k_GSD: Tensor, v_GSE: Tensor) -> dict[str, int]:
    """`struct memory`, in its order: where keys and values lie, and how many bytes heads and tokens are apart."""
    size = k_GSD.itemsize
    return {
        "k": k_GSD.data_ptr(),
        "v": v_GSE.data_ptr(),
        "k_head": k_GSD.stride(0) * size,
        "k_token": k_GSD.stride(1) * size,
        "v_head": v_GSE.stride(0) * size,
        "v_token": v_GSE.stride(1) * size,
    }


def is_plain(x: Tensor) -> bool:
    """Whether numbers of its dtype lie where a tensor begins. Not so in the classes of quantised weights."""
    return type(x) in _PLAIN


def room(*shape: int) -> Tensor:
    """Memory for float32 that C is to fill, whatever torch's default dtype and device are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


class Held:
    """Addresses of tensors as C reads them; holds what had to be made for it."""

    def __init__(self) -> None:
        self._copies: list[Tensor] = []
        self._arrays: list[ctypes.Array[ctypes.c_int64]] = []

    def numbers(self, numbers: Sequence[int]) -> int:
        """An array of these."""
        self._arrays.append((ctypes.c_int64 * len(numbers))(*numbers))
        return ctypes.addressof(self._arrays[-1])

    def floats(self, x: Tensor) -> int:
        """A tensor without gaps, in float32."""
        return self._address(x, torch.float32)

    def as_it_is(self, x: Tensor) -> int:
        """A tensor without gaps, in its own dtype."""
        return self._address(x, x.dtype)

    def integers(self, x: Tensor) -> int:
        """A tensor without gaps, in int64."""
        return self._address(x, torch.int64)

    def rows(self, x: Tensor) -> tuple[int, int]:
        """Rows without gaps in them, in int64, and how far they are apart: not at all where one serves all."""
        assert x.is_cpu, f"C cannot read what lies on {x.device}"
        if x.dtype is not torch.int64 or x.stride(1) != 1:
            x = x.to(torch.int64).contiguous()
            self._copies.append(x)
        return x.data_ptr(), 0 if x.shape[0] == 1 else x.stride(0)

    def _address(self, x: Tensor, dtype: torch.dtype) -> int:
        assert x.is_cpu, f"C cannot read what lies on {x.device}"
        if x.dtype is not dtype or not x.is_contiguous():
            x = x.to(dtype).contiguous()
            self._copies.append(x)
        return x.data_ptr()
