"""HyperAttention against a slow reference of its blocks and its sample, and what the paper promises of both."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan import methods
from farspan.attention.softmax import Partial, Scoring
from farspan.engine import Model
from farspan.methods.parts.combine import buckets_and_sample
from farspan.methods.parts.combine.axis import Met, Moment
from farspan.methods.parts.combine.buckets_and_sample import BucketsAndSample, gray_rank
from farspan.methods.parts.searching import side_by_side
from farspan.types import Budget
from tests.tiny import WINDOW, eager, least_budget, llama, model, random_ids, tokenizer

Tensors = tuple[Tensor, Tensor, Tensor]


def meeting(tensors: Tensors, *, answering: bool = False, stored: bool = True, position: int = 300) -> Met:
    """These queries, keys and values as a layer hands them on."""
    q, k, v = tensors
    runs = side_by_side(k, v, k.shape[1]).runs(k.shape[1])
    return Met(q, runs, Scoring(q.shape[-1] ** -0.5), None, stored, answering, Moment(1, position, 2))


def noise(seed: int, n: int, m: int, s: int, d: int) -> Tensors:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(shape, generator=generator) for shape in ((n, m, d), (n, s, d), (n, s, d + 2)))
    return q, k, v


def clustered(seed: int, queries: int = 64, keys: int = 2048, width: int = 32, clusters: int = 256) -> Tensors:
    """Keys around few directions, whose values lie together too, and queries that point along the same ones."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(clusters, width, generator=generator)
    key_at = torch.randint(clusters, (keys,), generator=generator)
    query_at = torch.randint(clusters, (queries,), generator=generator)
    k = centre[key_at] + 0.15 * torch.randn(keys, width, generator=generator)
    q = 2 * (centre[query_at] + 0.15 * torch.randn(queries, width, generator=generator))
    v = torch.randn(clusters, 16, generator=generator)[key_at]
    return q[None], k[None], v[None]


def error(found: Partial, wanted: Partial) -> float:
    """How far the outputs are off, as a share of their size."""
    return float((found.out_NME - wanted.out_NME).norm() / wanted.out_NME.norm())


def by_hand(part: BucketsAndSample, met: Met) -> Partial:
    """One query at a time: its weights are those of its block, and of the drawn keys outside it, times n / m each."""
    assert part.block and part.sample
    heads, keys, _ = met.runs.k_NKD.shape
    planes = torch.randn((met.runs.k_NKD.shape[-1], part.projections), generator=torch.Generator().manual_seed(1))
    drawn = torch.randint(keys, (heads, part.sample), generator=buckets_and_sample._generator(met.moment))
    outs, lses = [], []
    for n in range(heads):
        bucket = [rank_by_hand(key, planes) for key in met.runs.k_NKD[n]]
        order = sorted(range(keys), key=lambda at, bucket=bucket: (bucket[at], at))
        for m, query in enumerate(met.q_NMD[n]):
            own = rank_by_hand(query, planes)
            mine = [place for place, at in enumerate(order) if bucket[at] == own]
            below = sum(other < own for other in bucket)
            share = ((met.moment.position + m) * (math.sqrt(5) - 1) / 2) % 1
            place = mine[int(share * len(mine))] if mine else min(below, keys - 1)
            count = [0.0] * keys
            for other, at in enumerate(order):
                if other // part.block == place // part.block:
                    count[at] = 1.0
            for other in drawn[n].tolist():
                if other // part.block != place // part.block:
                    count[order[other]] += keys / part.sample
            weight = torch.tensor(count) * (met.runs.k_NKD[n] @ query * met.scoring.scale).exp()
            outs.append(weight @ met.runs.v_NKE[n] / weight.sum())
            lses.append(weight.sum().log())
    rows = met.q_NMD.shape[1]
    return Partial(torch.stack(outs).view(heads, rows, -1), torch.stack(lses).view(heads, rows))


def rank_by_hand(vector: Tensor, planes: Tensor) -> int:
    """Where the word of signs stands when words are listed in the order of the Gray code."""
    word = sum(int(vector @ planes[:, bit] > 0) << bit for bit in range(planes.shape[1]))
    return [number ^ (number >> 1) for number in range(2 ** planes.shape[1])].index(word)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 3), m=st.integers(1, 9), s=st.integers(20, 70),
    block=st.integers(1, 12), sample=st.integers(1, 7), projections=st.integers(1, 7),
)  # fmt: skip
def test_blocks_and_sample(seed: int, n: int, m: int, s: int, block: int, sample: int, projections: int) -> None:
    part = BucketsAndSample(projections, block, sample)
    met = meeting(noise(seed, n, m, s, 8), position=seed)
    found, wanted = part.attend(met)[0], by_hand(part, met)
    torch.testing.assert_close(found.out_NME, wanted.out_NME, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.lse_NM, wanted.lse_NM, atol=1e-5, rtol=1e-5)


def test_neighbouring_buckets_differ_by_one_plane() -> None:
    word = torch.tensor([[(number >> bit & 1) * 2.0 - 1 for bit in range(7)] for number in range(128)])[None]
    by_rank = word[0, gray_rank(word, torch.eye(7)).argsort()[0]]
    assert ((by_rank[1:] != by_rank[:-1]).sum(1) == 1).all()


@pytest.mark.parametrize(
    "met",
    [
        meeting(noise(0, 2, 5, 200, 8), answering=True),
        meeting(noise(0, 2, 5, 200, 8), stored=False),
        meeting(noise(0, 2, 5, 16, 8)),
    ],
)
def test_exact_for_an_answer_for_recent_tokens_and_for_few_keys(met: Met) -> None:
    found, wanted = BucketsAndSample(7, 8, 8).attend(met)[0], met.attend()[0]
    assert torch.equal(found.out_NME, wanted.out_NME) and torch.equal(found.lse_NM, wanted.lse_NM)


def test_exact_where_all_that_counts_is_in_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight buckets, each with a block of keys that only its own queries care for."""
    monkeypatch.setattr(buckets_and_sample, "_planes", lambda width, count, layer: torch.eye(width, count))
    monkeypatch.setenv("FARSPAN_KERNELS", "torch")  # logits of a hundred: sums in another order are off by more
    corner = torch.cartesian_prod(*[torch.tensor([-8.0, 8.0])] * 3)
    generator = torch.Generator().manual_seed(0)
    k = corner.repeat(16, 1)[torch.randperm(128, generator=generator)] + torch.rand(128, 3, generator=generator)
    met = meeting((corner[None], k[None], torch.randn(1, 128, 4, generator=generator)))
    torch.testing.assert_close(BucketsAndSample(3, 16, 8).attend(met)[0], met.attend()[0], atol=1e-6, rtol=1e-5)


def test_the_sum_of_all_weights_is_right_on_average() -> None:
    """The log-sum-exp is that of an estimate without bias: the mean over many draws is the true sum."""
    tensors = noise(5, 1, 6, 300, 8)
    part = BucketsAndSample(4, 16, 32)
    wanted = meeting(tensors).attend()[0].lse_NM.exp()
    draws = torch.stack([part.attend(meeting(tensors, position=at))[0].lse_NM.exp() for at in range(0, 4000, 10)])
    assert ((draws.mean(0) / wanted - 1).abs() < 4 * draws.std(0) / wanted / 20 + 1e-3).all()
    assert (draws.std(0) / wanted).max() > 0.01


@pytest.mark.parametrize("seed", range(4))
def test_on_clustered_keys_blocks_and_sample_are_better_than_the_sample_alone(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight keys in 2,048 concern a query: 64 in a block and 64 drawn find them, where 128 drawn do not."""
    met = meeting(clustered(seed))
    exact, _ = met.attend()
    both = error(BucketsAndSample(7, 64, 64).attend(met)[0], exact)
    drawn = error(BucketsAndSample(7, 1, 128).attend(met)[0], exact)
    assert both < 0.4
    assert both < 0.5 * drawn
    monkeypatch.setattr(buckets_and_sample, "gray_rank", lambda x, planes: x[..., 0].argsort(dim=1).argsort(dim=1))
    assert error(BucketsAndSample(7, 64, 64).attend(met)[0], exact) > 2 * both, "any order of the keys would do"


def test_the_papers_numbers() -> None:
    plan = methods.parse("hyper_attention").resolve(4096)
    assert plan.combine == BucketsAndSample(7, 256, 256)
    assert plan.dense == plan.window == 4096
    assert methods.parse("hyper_attention").resolve(131_072).dense == 4096
    assert methods.parse("hyper_attention").resolve(1024).combine == BucketsAndSample(7, 64, 64)


def test_reading_is_approximate_and_answering_is_not() -> None:
    """With one layer, whose keys do not depend on attention, an answer after an approximate reading is exact."""
    ids = random_ids(3 * WINDOW)
    hosted = llama(num_hidden_layers=1)
    wanted = eager(hosted, ids)
    with Model(hosted, tokenizer(), "one").session("hyper_attention", chunk=16) as session:
        off_T = (session.logits(ids[:-1]) - wanted[:-1]).abs().amax(1)
        assert off_T[:WINDOW].max() < 1e-5
        assert off_T[WINDOW + 40 :].max() > 1e-3
        assert not session.counts.exact
        answered = session._stream.kv.step(ids[-1:], "last", answering=True)
        assert answered is not None and (answered[-1] - wanted[-1]).abs().max() < 1e-5


def test_it_does_not_hang_on_where_tiers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces are cut at the same places whether blocks lie in memory or on disk."""
    monkeypatch.setattr("farspan.methods.parts.select.everything._PIECE_TOKENS", 48)
    ids = random_ids(4 * WINDOW)
    least = least_budget(lambda budget: model().session("hyper_attention", budget, chunk=16))
    logits = []
    for budget in (Budget(), Budget(least), Budget(least + 20_000)):
        with model().session("hyper_attention", budget, chunk=16) as session:
            logits.append(session.logits(ids))
            assert (session.counts.stored > 0) == (budget.device is not None)
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(logits[2], logits[0], atol=1e-5, rtol=0)
