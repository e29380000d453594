"""The best rows of an index, however its scan is cut, by the compiled kernel and by torch."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.choosing import best_rows, matching_rows
from farspan.attention.queries import Queries
from farspan.attention.rope import Rope

SCORES = st.lists(
    st.one_of(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.5e30, -1e-40]), st.floats(-100, 100, width=32)),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("kernels", ["native", "torch"])
@settings(max_examples=150, deadline=None)
@given(scores=st.lists(SCORES, min_size=1, max_size=3), count=st.integers(1, 12), data=st.data())
def test_the_highest_scores_and_of_equals_the_earlier(
    kernels: str, scores: list[list[float]], count: int, data: st.DataObject
) -> None:
    length = min(len(row) for row in scores)
    first = data.draw(st.sampled_from([0, 7, 2**20]))
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(1, length), max_size=4))})
    score_Nn = torch.tensor([row[:length] for row in scores]) + 0.0  # no negative zero
    pieces = [(first + low, score_Nn[:, low:high]) for low, high in pairwise(cuts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FARSPAN_KERNELS", kernels)
        rows_NX = best_rows(pieces, count)
    assert rows_NX is not None
    for row, found in zip(score_Nn.tolist(), rows_NX.tolist(), strict=True):
        order = sorted(range(length), key=lambda at: (-row[at], at))
        assert found == sorted(first + at for at in order[:count])


def test_no_blocks() -> None:
    assert best_rows([], 3) is None


WIDTH, QUERY_HEADS, KV_HEADS, TOKENS = 20, 6, 2, 3


@pytest.mark.parametrize("turned", ["not", "halves", "interleaved"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernels", ["native", "torch"])
def test_keys_that_match_the_mean_query(
    kernels: str, dtype: torch.dtype, shared: bool, turned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", kernels)
    make = torch.Generator().manual_seed(5)
    still_HTD = torch.randn(QUERY_HEADS, TOKENS, WIDTH, generator=make)
    rope = Rope(torch.tensor([1.0, 0.3, 0.05, 0.01]), 1.5, turned == "interleaved")
    angles = None if turned == "not" else rope.table(torch.tensor([7, 9, 30]))
    k_GnD = torch.randn(KV_HEADS, 300, WIDTH, generator=make).to(dtype)
    pieces = [(10, k_GnD[:, :130]), (140, k_GnD[:, 130:])]
    queries = Queries(still_HTD, rope, angles)

    scores = brute_scores(still_HTD, k_GnD)
    if angles is not None:
        met_GnD = rope.rotate(k_GnD.float(), torch.zeros(1))
        scores = brute_scores(rope.rotate(still_HTD, torch.tensor([7, 9, 30])), met_GnD)
    if shared:
        scores = [[sum(each) for each in zip(*scores, strict=True)]]
    best = [sorted(range(300), key=lambda row, own=own: -own[row])[:9] for own in scores]

    by_score_NX = matching_rows(queries, pieces, 9, shared=shared, in_order=False)
    in_order_NX = matching_rows(queries, pieces, 9, shared=shared)
    assert by_score_NX is not None and in_order_NX is not None
    assert by_score_NX.tolist() == [[10 + row for row in own] for own in best]
    assert in_order_NX.tolist() == [sorted(10 + row for row in own) for own in best]
    assert matching_rows(queries, [], 9, shared=shared) is None


def brute_scores(q_HTD: Tensor, k_GnD: Tensor) -> list[list[float]]:
    """The product of every head's mean query with every key, number by number."""
    group = len(q_HTD) // len(k_GnD)
    mean_HD = q_HTD.double().sum(1) / q_HTD.shape[1]
    return [
        [float((mean_HD[head] * key_D.double()).sum()) for key_D in k_GnD[head // group]] for head in range(len(q_HTD))
    ]


def test_many_rows_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARSPAN_KERNELS", "native")
    make = torch.Generator().manual_seed(6)
    queries = Queries(torch.randn(4, 1, 32, generator=make))
    keys = [(0, torch.randn(2, 5000, 32, generator=make))]
    found = []
    threads = torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        rows_NX = matching_rows(queries, keys, 40, shared=False)
        assert rows_NX is not None
        found.append(rows_NX.tolist())
    torch.set_num_threads(threads)
    assert found[0] == found[1]
