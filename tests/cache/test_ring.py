"""A ring holds what a list would hold, at one address once it is full."""

from __future__ import annotations

from collections import deque

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.cache.ring import Ring
from tests.cache.rows import COLUMNS, NAMES, check_runs, rows

CPU = torch.device("cpu")
STEPS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), max_size=25)


@settings(max_examples=60, deadline=None)
@given(capacity=st.one_of(st.none(), st.integers(1, 40)), start=st.integers(0, 50), steps=STEPS)
def test_a_ring_is_a_queue(capacity: int | None, start: int, steps: list[tuple[int, int]]) -> None:
    ring = Ring(COLUMNS, capacity, CPU, start)
    held: deque[int] = deque()
    following = start
    for added, popped in steps:
        added = added if capacity is None else min(added, capacity)
        leaving = ring.overflow(added)
        assert leaving == (0 if capacity is None else max(0, len(held) + added - capacity))
        leaving = max(leaving, min(popped, len(held)) if capacity else 0)  # one without limit never gives up a row
        ring.pop(leaving)
        for _ in range(leaving):
            held.popleft()
        ring.append(rows(range(following, following + added)))
        held.extend(range(following, following + added))
        following += added
        assert (ring.start, ring.end, len(ring)) == (held[0], following, len(held))
    listed = {number: rows([number]) for number in held}
    for name in NAMES if held else ():
        at = torch.tensor([held[0], held[-1], held[len(held) // 2], held[0]])
        heads = torch.tensor([1, 0, 1, 0])
        wanted = torch.stack([listed[int(n)][name][h, 0] for n, h in zip(at, heads, strict=True)])
        assert torch.equal(ring.gather(name, at, heads), wanted)
    for limit in (1, 3, 100):
        low = held[0] if held else following
        everything = [listed.get(number, {}) for number in range(following)]
        check_runs(ring.runs(NAMES, low, following, limit), everything, low, limit)


def test_a_full_ring_stays_where_it_is() -> None:
    ring = Ring(COLUMNS, 20, CPU)
    places = set()
    for number in range(100):
        ring.pop(ring.overflow(1))
        ring.append(rows([number]))
        if number > 20:
            places.add(next(iter(ring.runs(("k",), number, number + 1, 1)))[1]["k"].untyped_storage().data_ptr())
    assert len(places) == 1


def test_no_room_is_an_error() -> None:
    ring = Ring(COLUMNS, 2, CPU)
    with pytest.raises(AssertionError, match="without room"):
        ring.append(rows(range(3)))
