"""Every token is in exactly one place: what a query may meet it meets once, wherever block, window and tier end."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor

from farspan import methods
from farspan.types import Budget
from tests.methods.glass import WINDOW, glass, shares, text
from tests.tiny import least_budget

AGE = torch.arange(320)[:, None] - torch.arange(320)
FIRST = torch.arange(320)

EVERYTHING = [
    "full",
    "full(n_local=9)",
    "self_extend",
    "self_extend(group=3, window=10)",
    "pi(factor=1.5)",
    "infllm(top_k=1000)",
    "infllm(top_k=1000, positions=compact)",
    "em_llm(n_mem=1000)",
    "em_llm(n_mem=1000, positions=compact, min_block_size=3, max_block_size=5)",
    "infllm(top_k=1000, n_init=3, n_local=17, block=5)",
    "topk(top_k=1000, when=both)",
    "topk(top_k=1000, when=both, positions=compact)",
    "topk(top_k=1000, when=both, n_init=1, n_local=9, block=7)",
    "quest(dense_layers=0, token_budget=2000, when=both)",
    "quest(dense_layers=0, token_budget=2000, when=both, positions=compact)",
    "quest(dense_layers=0, token_budget=2000, when=both, positions=true)",
    "quest(dense_layers=0, token_budget=2000, when=both, n_init=1, n_local=9, page_size=7)",
    "quest(dense_layers=1, when=both)",
    "quest(dense_layers=1, when=both, positions=compact)",
    "longheads(atten_length=2000)",
    "longheads(atten_length=2000, window_size=7)",
    "longheads(atten_length=2000, positions=capped)",
    "actqkv(top_k=1000)",
    "shadowkv(sparse_budget=2000, when=both)",
    "shadowkv(sparse_budget=2000, when=both, positions=compact, outlier_chunk=5, n_init=1, n_local=9, chunk_size=7)",
    "squeezed(sparsity=0, when=both)",
    "squeezed(sparsity=0, when=both, positions=true, n_init=1, n_local=9, segment=7, clusters=0.5)",
    "hip(second_stage_k=2000)",
    "hip(second_stage_k=2000, positions=capped)",
    "hip(second_stage_k=2000, positions=true)",
    "hip(second_stage_k=2000, sink_token_size=1, sliding_window_size=9, chunk_size=3)",
]
LAMBDA = {
    "streaming": (4, WINDOW - 4),
    "streaming(start_size=2, recent_size=11)": (2, 11),
    "lm_infinite": (10, WINDOW - 10),
    "lm_infinite(n_global=1, n_local=19)": (1, 19),
}


@cache
def least(method: str, chunk: int) -> int:
    """The smallest device budget, in bytes."""
    return least_budget(lambda budget: glass().session(method, budget, chunk=chunk))


def check(share_TT: Tensor, sees_TT: Tensor, atol: float = 1e-5) -> None:
    wanted = sees_TT / sees_TT.sum(1, keepdim=True)
    torch.testing.assert_close(share_TT, wanted.float(), atol=atol, rtol=1e-3)


@pytest.mark.parametrize("tight", [False, True])
@pytest.mark.parametrize(("method", "chunk"), [*product(EVERYTHING, [7, 33]), (EVERYTHING[3], 1), (EVERYTHING[-1], 1)])
def test_nothing_is_left_out_and_nothing_met_twice(method: str, chunk: int, tight: bool) -> None:
    """With enough blocks to fetch, every query meets all that came before it, even with nearly all on disk."""
    budget = Budget(least(method, chunk)) if tight else Budget()
    with glass().session(method, budget, chunk=chunk) as session:
        check(shares(session, text()), AGE >= 0)
        counts = session.counts
    assert counts.dropped == 0
    assert (counts.stored > 100) == tight


@pytest.mark.parametrize("chunk", [7, 33])
@pytest.mark.parametrize("method", LAMBDA)
def test_sinks_and_window(method: str, chunk: int) -> None:
    sinks, window = LAMBDA[method]
    with glass().session(method, chunk=chunk) as session:
        check(shares(session, text()), (AGE >= 0) & ((window > AGE) | (sinks > FIRST)))


@pytest.mark.parametrize("method", methods.self_sufficient())
@pytest.mark.parametrize("disk", [None, 0])
def test_no_method_meets_a_token_twice_or_one_to_come(method: str, disk: int | None) -> None:
    plan = methods.parse(method).resolve(WINDOW)
    budget = Budget() if plan.select.needs_all else Budget(least(method, 9), disk=disk)
    with glass().session(method, budget, chunk=9) as session:
        share_TT = shares(session, text())
        counts = session.counts
    met_TT = share_TT > 1e-4
    if plan.combine.exact:  # otherwise a token may stand for others, another one in each head
        assert met_TT[AGE == 0].all()
        if method != "expected_attention":  # it looks at values, of which each head has its own half
            check(share_TT, met_TT, atol=1e-5 if plan.codec.lossless else 5e-5)
            assert met_TT[-1].sum() <= counts.seen - counts.dropped
    assert not met_TT[AGE < 0].any()
    assert counts.seen == counts.kept + counts.stored + counts.dropped == 320


def test_topk_while_reading_keeps_what_is_in_no_block_yet() -> None:
    """Between the last whole block and the window nothing is forgotten."""
    with glass().session("topk(n_init=3, n_local=20, block=8)", chunk=5) as session:
        met_TT = shares(session, text()) > 1e-4
    for token in range(WINDOW + 5, 320):
        met = met_TT[token].nonzero().squeeze(1)
        assert met[:3].tolist() == [0, 1, 2]
        recent = met[3:]
        assert torch.equal(recent, torch.arange(int(recent[0]), token + 1))
        assert 20 <= len(recent) < 20 + 8 + 5
