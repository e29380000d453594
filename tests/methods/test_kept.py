"""Methods that keep the tokens worth most: what they keep, against slow references; rooms that follow the budget."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import farspan
from farspan import methods
from farspan.cache.columns import BlockShape
from farspan.engine import Model, Session
from farspan.errors import MethodError
from farspan.methods.parts.allocate.pyramid import Pyramid
from farspan.methods.parts.importance.expected_attention import ExpectedAttention
from farspan.types import Budget
from tests.attention.families import build
from tests.methods.brute import brutes
from tests.methods.brute_kept import Kept, different, expected, heavy, observed, small
from tests.tiny import VOCABULARY, WINDOW, different_ids, eager, llama, model, random_ids, stream, tokenizer

TOKENS, CAPACITY, CHUNK = 120, 40, 5
RULES: dict[str, Callable[[], Kept]] = {
    "h2o(capacity=40)": lambda: Kept(heavy, CAPACITY, CHUNK, 20),
    "h2o(capacity=40, recent=3)": lambda: Kept(heavy, CAPACITY, CHUNK, 3),
    "snapkv(capacity=40, window_size=6)": lambda: Kept(observed(6, 5), CAPACITY, CHUNK, 6, every=6),
    "snapkv(capacity=40, window_size=4, kernel_size=1)": lambda: Kept(observed(4, 1), CAPACITY, CHUNK, 4, every=4),
    "tova(capacity=40)": lambda: Kept(observed(1, 1), CAPACITY, CHUNK, 1, together=True),
    "knorm(capacity=40)": lambda: Kept(small, CAPACITY, CHUNK, 1),
    "keydiff(capacity=40, recent=2)": lambda: Kept(different, CAPACITY, CHUNK, 2),
    "expected_attention(capacity=40, future=9)": lambda: Kept(expected(9), CAPACITY, CHUNK, 1, sinks=4, every=6),
    "expected_attention(capacity=40, future=9, compression_interval=1)": lambda: Kept(
        expected(9), CAPACITY, CHUNK, 1, sinks=4
    ),
}


@pytest.fixture(scope="module")
def small_model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=48), tokenizer(), "tiny")


def held(session: Session) -> list[list[list[int]]]:
    """The places of the pool's tokens, by layer and head."""
    pools = [layer.pool for layer in session._stream.kv.layers]
    return [[] if pool is None else pool.held.position_GC.tolist() for pool in pools]


@pytest.mark.parametrize("method", RULES)
def test_a_method_keeps_what_its_paper_says(small_model: Model, method: str) -> None:
    ids = different_ids(TOKENS, seed=3)
    rules = [RULES[method]() for _ in small_model.hosted.facts]
    wanted = stream(small_model.hosted, brutes(small_model.hosted, rules), ids, CHUNK)
    with small_model.session(method, chunk=CHUNK) as session:
        logits = session.logits(ids)
        kept = held(session)
        counts = session.counts
    torch.testing.assert_close(logits, wanted, atol=3e-5, rtol=0)
    for rule, pool in zip(rules, kept, strict=True):
        recent = [tokens[rule.sinks : rule.sinks + len(pool[0])] for tokens in rule.kept]
        assert pool == recent
    assert counts.seen == counts.kept + counts.dropped and counts.kept <= CAPACITY
    full = eager(llama(max_position_embeddings=48), ids)
    assert (logits[CAPACITY:] - full[CAPACITY:]).abs().max() > 0.05


@pytest.mark.parametrize("method", [name for name in RULES if name.startswith(("h2o", "snapkv", "tova"))])
def test_attention_that_goes_to_no_token_does_not_count(method: str, tmp_path: Path) -> None:
    """GPT-OSS has a logit without a value for every head; some take nearly all here. Also after opening."""
    made = build(
        "GptOss",
        num_hidden_layers=2,
        layer_types=["full_attention"] * 2,
        max_position_embeddings=48,
        vocab_size=VOCABULARY,
    )
    for name, parameter in made.named_parameters():
        if name.endswith("sinks"):
            parameter.data = torch.tensor([6.0, -6.0]).repeat(parameter.numel() // 2)
    gpt = Model(made, tokenizer(), "sinks")
    ids = different_ids(TOKENS, seed=3)
    rules = [RULES[method]() for _ in gpt.hosted.facts]
    wanted = stream(gpt.hosted, brutes(gpt.hosted, rules), ids, CHUNK)
    with gpt.session(method, chunk=CHUNK) as session:
        first = session.logits(ids[:90])
        session.save(tmp_path / "saved")
    with farspan.open(tmp_path / "saved", gpt) as session:
        logits = torch.cat((first, session.logits(ids[90:])))
    torch.testing.assert_close(logits, wanted, atol=3e-5, rtol=0)


def test_methods_keep_different_tokens(small_model: Model) -> None:
    """The comparisons above have teeth."""
    ids = different_ids(TOKENS, seed=3)
    kept = []
    for method in RULES:
        with small_model.session(method, chunk=CHUNK) as session:
            session.read(ids)
            kept.append(str(held(session)))
    assert len(set(kept)) == len(kept)


def test_sirllm_keeps_what_surprised_it_and_forgets_by_turns(small_model: Model) -> None:
    ids = different_ids(TOKENS, seed=3)
    with small_model.session("sirllm(capacity=40, decay=0.5)", chunk=CHUNK) as session:
        log_TV = session.logits(ids).log_softmax(-1)
        surprise = {at: -float(log_TV[at - 1, ids[at]]) for at in range(1, TOKENS)}
        kept: list[int] = []
        for start in range(0, TOKENS, CHUNK):
            if len(kept) > CAPACITY - CHUNK:
                best = sorted(kept[4:-1], key=lambda at: -surprise[at])[: CAPACITY - CHUNK - 5]
                kept = kept[:4] + sorted(best) + kept[-1:]
            kept += range(start, start + CHUNK)
        pools = held(session)
        assert all(head == kept[4 : 4 + len(head)] for pool in pools for head in pool)
        layer = session._stream.kv.layers[0].pool
        assert layer is not None
        before = layer.held.tokens.mass_GT.clone()
        session.generate(random_ids(3), max_new_tokens=1).text  # noqa: B018
        assert session._stream.kv.layers[0].pool is layer
        unchanged = held(session)[0][0]
        session.end_turn()
        session.read(random_ids(2))
    turned = dict(zip(layer.held.position_GC[0].tolist(), layer.held.tokens.mass_GT[0].tolist(), strict=True))
    first = dict(zip(pools[0][0], before[0].tolist(), strict=True))
    both = set(turned) & set(first)
    assert both and set(unchanged) & both
    assert all(turned[at] == pytest.approx(first[at] / 2) for at in both)


def test_sirllm_forgets_turns_that_ended_while_all_was_recent(small_model: Model) -> None:
    """Tokens come to the pool with what their surprise is worth by now."""
    ids, worth = different_ids(60, seed=3), []
    for decay in (1.0, 0.01):
        with small_model.session(f"sirllm(capacity=40, decay={decay})", chunk=10) as session:
            session.read(ids[:30])
            session.end_turn()
            session.read(ids[30:])
            worth.append(_worth(session))
    old = [at for at in set(worth[0]) & set(worth[1]) if at < 30]
    assert old and all(worth[1][at] == pytest.approx(worth[0][at] / 100) for at in old)
    assert max(at for at in worth[1]) > max(old)


@pytest.mark.parametrize("how", ["chat", "replay", "put"])
def test_sirllm_counts_the_turns_of_a_chat(small_model: Model, how: str) -> None:
    """What came before the first turn is worth decay ** turns of what it was; each later turn one power more."""
    turns = {
        "chat": lambda session: session.chat("a b", max_new_tokens=2, ignore_eos=True).text,
        "replay": lambda session: session.replay("a b", "c"),
        "put": lambda session: (session.put([5, 6, 7]), session.reply(max_new_tokens=1).text, session.end_turn()),
    }
    worth = []
    for decay in (1.0, 0.5):
        with small_model.session(f"sirllm(capacity=40, decay={decay})", chunk=CHUNK) as session:
            session.read(different_ids(36, seed=3))
            for _ in range(3):
                turns[how](session)
            worth.append(_worth(session))
    old = [at for at in set(worth[0]) & set(worth[1]) if at < 36]
    assert old and all(worth[1][at] == pytest.approx(worth[0][at] / 8) for at in old)


def _worth(session: Session) -> dict[int, float]:
    """What the tokens of the first layer's pool are worth, by their places."""
    pool = session._stream.kv.layers[0].pool
    assert pool is not None
    return dict(zip(pool.held.position_GC[0].tolist(), pool.held.tokens.mass_GT[0].tolist(), strict=True))


@pytest.mark.parametrize("layers", [1, 2, 7, 32])
@pytest.mark.parametrize("beta", [1.0, 20.0])
def test_a_pyramid_falls_along_a_line_and_is_1_on_average(layers: int, beta: float) -> None:
    shares = [Pyramid(beta).share(layer, layers) for layer in range(layers)]
    assert sum(shares) / layers == pytest.approx(1)
    if layers > 1:
        steps = [right - left for left, right in pairwise(shares)]
        assert steps == pytest.approx([steps[0]] * (layers - 1)) and steps[0] <= 0
        assert shares[-1] == pytest.approx(1 / beta)


def test_pyramidkv_is_snapkv_with_more_room_below() -> None:
    ids = random_ids(3 * WINDOW)
    with model().session("pyramidkv(capacity=80)", chunk=8) as session:
        session.read(ids)
        lower, upper = (len(pool[0]) for pool in held(session))
    with model().session("snapkv(capacity=80)", chunk=8) as session:
        session.read(ids)
        lower_snap, upper_snap = (len(pool[0]) for pool in held(session))
    assert lower_snap == upper_snap and lower > 5 * upper
    assert lower + upper == pytest.approx(lower_snap + upper_snap, abs=2)


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(1, 30), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_mean_and_covariance_of_queries_do_not_depend_on_chunks(cuts: list[int], seed: int) -> None:
    q_HTD = torch.randn(3, sum(cuts) + 4, 6, generator=torch.Generator().manual_seed(seed))
    by = ExpectedAttention(skipped=4)
    columns = by.notes(BlockShape(3, 1, 6, 6, torch.float32))
    notes = {column.name: torch.zeros(column.heads, *column.shape, dtype=column.dtype) for column in columns}
    for part in q_HTD.split([4, *cuts] if seed % 2 else [2, 2, *cuts], dim=1):
        notes = {**notes, **by.after_queries(notes, part)}
    rest = q_HTD[:, 4:]
    torch.testing.assert_close(notes["mean"], rest.mean(1), atol=1e-5, rtol=1e-5)
    wanted = torch.stack([head.T.cov(correction=0) for head in rest])
    torch.testing.assert_close(notes["moment"] / rest.shape[1], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", ["h2o", "snapkv", "expected_attention", "pyramidkv"])
def test_less_is_kept_where_the_budget_pays_for_less(method: str) -> None:
    plan = methods.parse(method).resolve(WINDOW)
    kept, size = [], 10**9
    for _ in range(2):
        with model().session(method, Budget(size), chunk=8) as session:
            session.read(random_ids(4 * WINDOW))
            kept.append(session.counts.kept)
            held_bytes = session.counts.kv_bytes["device"]
        assert held_bytes <= size
        size = int(held_bytes * 0.9)
    assert kept[0] > kept[1] > 4
    assert plan.pool is not None and plan.dense == WINDOW


def test_a_capacity_that_is_too_small_is_refused_with_what_would_do() -> None:
    with pytest.raises(MethodError, match="32 recent tokens") as error:
        model().session("snapkv(capacity=40, window_size=32)")
    least = int("".join(letter for letter in str(error.value.fix).split(",")[0] if letter.isdigit()))
    model().session(f"snapkv(capacity={least}, window_size=32)").close()
    with pytest.raises(MethodError):
        model().session(f"snapkv(capacity={least - 1}, window_size=32)")
    with pytest.raises(MethodError, match="odd"):
        methods.parse("snapkv(kernel_size=4)")


def test_the_smallest_capacity_leaves_room_for_one_token() -> None:
    keep = methods.parse("h2o").resolve(WINDOW).keep
    assert keep.pool is not None
    least = keep.pool.sized(keep.pool.least)
    assert least.best >= 1
    with pytest.raises(MethodError):
        keep.pool.sized(keep.pool.least - 1)
    assert keep.pool.limit == keep.pool.average == WINDOW
