"""Attention in segments equals one softmax over all keys, whichever kernel computes it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.kernels import partial_attention
from farspan.attention.softmax import Partial, Scoring, merge, observed_attention

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 2e-2}


def dense(
    q: Tensor, k: Tensor, v: Tensor, scoring: Scoring, mask: Tensor | None, sink: Tensor | None = None
) -> Partial:
    """One softmax in float64, row by row as it is defined; a row that sees nothing gives 0."""
    logits = q.double() @ k.double().mT * scoring.scale
    if scoring.softcap is not None:
        logits = scoring.softcap * torch.tanh(logits / scoring.softcap)
    weights = logits.exp()
    if mask is not None:
        weights = weights * mask
    total = weights.sum(-1) if sink is None else weights.sum(-1) + sink.double().exp()
    return Partial((weights @ v.double()) / total.clamp(min=1e-300).unsqueeze(-1), total.log())


def case(seed: int, n: int, m: int, s: int, d: int, e: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n, m, d), (n, s, d), (n, s, e))
    q, k, v = (torch.randn(shape, generator=generator).to(dtype) for shape in shapes)
    return q, k, v


def close(found: Partial, wanted: Partial, dtype: torch.dtype) -> None:
    assert found.out_NME.dtype == found.lse_NM.dtype == torch.float32
    tolerance = TOLERANCE[dtype]
    torch.testing.assert_close(found.out_NME.double(), wanted.out_NME, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(found.lse_NM.double(), wanted.lse_NM, atol=tolerance, rtol=tolerance)


KEYS = st.sampled_from([1, 2, 17, 255, 256, 300, 600])
SOFTCAP = st.sampled_from([None, 1.5])
DTYPE = st.sampled_from([torch.float32, torch.bfloat16])


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 3), m=st.integers(1, 9), s=KEYS, e=st.sampled_from([8, 12]),
    softcap=SOFTCAP, hidden=st.sampled_from([None, 0.0, 0.3, 0.99]), apart=st.booleans(), dtype=DTYPE,
)  # fmt: skip
def test_one_segment(
    seed: int,
    n: int,
    m: int,
    s: int,
    e: int,
    softcap: float | None,
    hidden: float | None,
    apart: bool,
    dtype: torch.dtype,
) -> None:
    """Flash from 256 keys on, the explicit way else; masks of rows that see nothing; masks that lead with N."""
    q, k, v = case(seed, n, m, s, 8, e, dtype)
    scoring = Scoring(0.4, softcap)
    mask = None
    if hidden is not None:
        generator = torch.Generator().manual_seed(seed)
        mask = torch.rand((n, m, s) if apart else (m, s), generator=generator) >= hidden
        mask[..., 0, :] = False
    wanted = dense(q, k, v, scoring, mask)
    close(partial_attention(q, k, v, scoring, mask), wanted, dtype)
    part, logits_NMS = observed_attention(q, k, v, scoring, mask)
    close(part, wanted, dtype)
    weights_NMS = torch.exp(logits_NMS - part.lse_NM.unsqueeze(-1)).nan_to_num_(0.0)
    total = weights_NMS.sum(-1)
    seen = torch.ones(m, dtype=torch.bool) if mask is None else mask.any(-1)
    torch.testing.assert_close(total, seen.float().expand_as(total), atol=1e-5, rtol=0)
    assert mask is None or not weights_NMS[~mask.expand_as(weights_NMS)].any()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 700), max_size=5),
    softcap=SOFTCAP,
    masked=st.booleans(),
    sink=st.booleans(),
    dtype=DTYPE,
)
def test_segments_merge_into_one_softmax(
    seed: int, cuts: list[int], softcap: float | None, masked: bool, sink: bool, dtype: torch.dtype
) -> None:
    """Empty segments and segments that a row cannot see count for nothing; a sink takes its share and gives nothing."""
    q, k, v = case(seed, 2, 5, 700, 8, 8, dtype)
    scoring = Scoring(0.6, softcap)
    mask = torch.rand(5, 700, generator=torch.Generator().manual_seed(seed)) > 0.5 if masked else None
    if mask is not None:
        mask[1, :650] = False
    sink_NM = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed)) * 3 if sink else None
    bounds = [0, *sorted(cuts), 700]
    parts = [
        partial_attention(q, k[:, a:b], v[:, a:b], scoring, None if mask is None else mask[:, a:b])
        for a, b in pairwise(bounds)
    ]
    close(merge(parts, sink_NM), dense(q, k, v, scoring, mask, sink_NM), dtype)
    stepwise = parts[0]
    for part in parts[1:]:
        stepwise = merge([stepwise, part])
    close(merge([stepwise], sink_NM), dense(q, k, v, scoring, mask, sink_NM), dtype)


@pytest.mark.parametrize("sink", [None, 0.5])
def test_a_row_that_sees_nothing_at_all_is_zero(sink: float | None) -> None:
    q, k, v = case(0, 2, 3, 300, 8, 8, torch.float32)
    blind = torch.zeros(3, 300, dtype=torch.bool)
    parts = [
        partial_attention(q, k, v, Scoring(1.0), blind),
        partial_attention(q, k[:, :9], v[:, :9], Scoring(1.0), blind[:, :9]),
    ]
    out, lse = merge(parts, None if sink is None else torch.full((2, 3), sink))
    assert not out.any()
    assert torch.equal(lse, torch.full((2, 3), float("-inf") if sink is None else sink))


@pytest.mark.parametrize(("rows", "keys"), [(3, 0), (0, 4), (0, 0), (0, 300)])
def test_no_keys_or_no_queries(rows: int, keys: int) -> None:
    """The flash kernel would take the process down."""
    q, k, v = case(0, 2, rows, keys, 8, 6, torch.bfloat16)
    part = partial_attention(q, k, v, Scoring(1.0))
    assert part.out_NME.shape == (2, rows, 6) and part.out_NME.dtype == torch.float32
    assert not part.out_NME.any() and (part.lse_NM == float("-inf")).all()
    if rows:
        full = partial_attention(*case(1, 2, rows, 5, 8, 6, torch.bfloat16), Scoring(1.0))
        torch.testing.assert_close(merge([part, full, part]), full)


def test_large_logits_do_not_overflow() -> None:
    q, k, v = case(0, 2, 4, 300, 8, 8, torch.float32)
    halves = [partial_attention(100 * q, 100 * k[:, a:b], v[:, a:b], Scoring(1.0)) for a, b in ((0, 20), (20, 300))]
    out, lse = merge(halves)
    wanted = torch.softmax(1e4 * q @ k.mT, -1) @ v
    torch.testing.assert_close(out, wanted, atol=1e-4, rtol=1e-4)
    assert lse.isfinite().all()


@pytest.mark.parametrize("softcap", [None, 1.5])
def test_a_bias_says_how_often_a_key_counts(softcap: float | None) -> None:
    """Twice is as if it were there twice, never is as if it were not; an even bias moves the log-sum-exp alone."""
    q, k, v = case(0, 2, 3, 40, 8, 8, torch.float32)
    scoring = Scoring(0.4, softcap)
    count_S = torch.arange(40) % 3
    found = partial_attention(q, k, v, scoring, bias_NMS=count_S.float().log())
    at = torch.arange(40).repeat_interleave(count_S)
    close(found, dense(q, k[:, at], v[:, at], scoring, None), torch.float32)
    plain, moved = partial_attention(q, k, v, scoring), partial_attention(q, k, v, scoring, bias_NMS=torch.tensor(2.0))
    torch.testing.assert_close(moved, Partial(plain.out_NME, plain.lse_NM + 2))
    blind = partial_attention(q, k, v, scoring, bias_NMS=torch.full((2, 1, 40), float("-inf")))
    assert (blind.out_NME == 0).all() and (blind.lse_NM == float("-inf")).all()
