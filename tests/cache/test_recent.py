"""The recent tokens are a queue in one buffer of bounded size."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.cache.recent import Recent, Tokens

HEADS, KEY, VALUE = 2, 4, 3
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["append", "append with mass", "take", "drop_last", "add mass"]), st.integers(0, 90)),
    max_size=40,
)


def tokens(numbers: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Keys, values and mass that tell which token they are."""
    at = torch.tensor(numbers, dtype=torch.float32)
    heads = torch.arange(HEADS)[:, None] * 10_000 + at
    return heads[..., None].expand(-1, -1, KEY), -heads[..., None].expand(-1, -1, VALUE), heads / 7


def check(held: Tokens, numbers: list[int], mass: dict[int, float]) -> None:
    k_GTD, v_GTE, mass_GT = tokens(numbers)
    assert held.length == len(numbers)
    assert torch.equal(held.k_GTD, k_GTD) and torch.equal(held.v_GTE, v_GTE)
    wanted = torch.tensor([mass.get(number, 0.0) for number in numbers]).expand(HEADS, -1)
    torch.testing.assert_close(held.mass_GT, wanted + (mass_GT if mass.get(-1) else 0))


@settings(max_examples=80, deadline=None)
@given(capacity=st.integers(1, 700), operations=OPERATIONS)
def test_it_is_a_queue(capacity: int, operations: list[tuple[str, int]]) -> None:
    recent = Recent(HEADS, KEY, VALUE, capacity, torch.float32, torch.device("cpu"))
    numbers: list[int] = []
    mass: dict[int, float] = {}
    following = 0
    for operation, amount in operations:
        if operation.startswith("append"):
            fresh = list(range(following, following + min(amount, capacity - len(numbers))))
            k_GTD, v_GTE, _ = tokens(fresh)
            if operation == "append":
                recent.append(k_GTD, v_GTE)
            else:
                recent.append(k_GTD, v_GTE, torch.full((HEADS, len(fresh)), 0.5))
                mass.update(dict.fromkeys(fresh, 0.5))
            numbers, following = numbers + fresh, following + len(fresh)
        elif operation == "take":
            count = min(amount, len(numbers))
            check(recent.take(count), numbers[:count], mass)
            numbers = numbers[count:]
        elif operation == "drop_last":
            count = min(amount, len(numbers))
            recent.drop_last(count)
            numbers = numbers[: len(numbers) - count]
        else:
            recent.tokens.mass_GT.add_(amount)
            mass.update({number: mass.get(number, 0.0) + amount for number in numbers})
        assert len(recent) == len(numbers)
        check(recent.tokens, numbers, mass)
        allocated = recent.tokens.mass_GT.untyped_storage().nbytes() // (4 * HEADS)
        assert allocated <= Recent.buffer_tokens(capacity)


def test_bytes_and_copies() -> None:
    recent = Recent(HEADS, KEY, VALUE, 10, torch.bfloat16, torch.device("cpu"))
    recent.append(*tokens([0, 1, 2]))
    assert recent.tokens.nbytes == 3 * HEADS * (KEY + VALUE) * 2
    copy, part = recent.tokens.clone(), recent.tokens.part(1, 3)
    assert part.length == 2 and torch.equal(part.k_GTD, copy.k_GTD[:, 1:])
    recent.tokens.k_GTD.zero_()
    assert copy.k_GTD.any() and not part.k_GTD.any()
