"""Queries are laid out against the keys that they share, and come back in their order."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from farspan.engine.folding import Folding

FOLDINGS = st.builds(
    lambda kv_heads, group, tokens, per_head, per_token: Folding(
        kv_heads * group, kv_heads, tokens, per_head, per_token
    ),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
)


def search_and_row(folding: Folding, head: int, token: int) -> tuple[int, int]:
    """Where a query belongs: which search, and which of its rows. Searches run over heads first, then tokens."""
    group = folding.heads // folding.kv_heads
    search, row = (head, 0) if folding.per_head else divmod(head, group)
    if folding.per_token:
        return search * folding.tokens + token, row
    return search, row * folding.tokens + token


@given(folding=FOLDINGS)
def test_every_query_is_with_its_search_and_comes_back(folding: Folding) -> None:
    x_HTW = torch.randn(folding.heads, folding.tokens, 5)
    x_NMW = folding.fold(x_HTW)
    for head in range(folding.heads):
        for token in range(folding.tokens):
            assert torch.equal(x_NMW[search_and_row(folding, head, token)], x_HTW[head, token])
    assert x_NMW.shape[0] * x_NMW.shape[1] == folding.heads * folding.tokens
    assert torch.equal(folding.unfold(x_NMW), x_HTW)
    assert torch.equal(folding.unfold(x_NMW[..., 0]), x_HTW[..., 0])


@given(folding=FOLDINGS)
def test_the_last_token(folding: Folding) -> None:
    last = folding.tokens - 1
    x_HTW = torch.randn(folding.heads, folding.tokens, 5)
    rows = folding.fold(x_HTW)[folding.of_last]
    assert torch.equal(rows.flatten(0, 1), x_HTW[:, last])
    searched = torch.arange(folding.fold(x_HTW).shape[0])[folding.of_last[0]]
    assert len(searched) == len(rows)
    order = [search_and_row(folding, head, last)[0] for head in range(folding.heads)]
    assert searched.repeat_interleave(rows.shape[1]).tolist() == order
