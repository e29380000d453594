"""The best of a stream of scored blocks, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.methods.parts.select.ranking import best_rows, works

SCORES = st.lists(
    st.one_of(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.5e30, -1e-40]), st.floats(-100, 100, width=32)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(scores=st.lists(SCORES, min_size=1, max_size=3), count=st.integers(1, 12), data=st.data())
def test_the_highest_scores_and_of_equals_the_earlier(
    scores: list[list[float]], count: int, data: st.DataObject
) -> None:
    length = min(len(row) for row in scores)
    first = data.draw(st.sampled_from([0, 7, 2**20]))
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(1, length), max_size=4))})
    score_Nn = torch.tensor([row[:length] for row in scores]) + 0.0  # no negative zero
    pieces = [(first + low, score_Nn[:, low:high]) for low, high in pairwise(cuts)]
    rows_NX = best_rows(pieces, count)
    assert rows_NX is not None
    for row, found in zip(score_Nn.tolist(), rows_NX.tolist(), strict=True):
        order = sorted(range(length), key=lambda at: (-row[at], at))
        assert found == sorted(first + at for at in order[:count])


def test_no_blocks() -> None:
    assert best_rows([], 3) is None


def test_when_a_selector_works() -> None:
    assert [works(when, answering) for when in ("reading", "answering", "both") for answering in (False, True)] == [
        True, False, False, True, True, True,
    ]  # fmt: skip
