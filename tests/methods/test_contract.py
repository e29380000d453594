"""What holds for every method: exact when it fits, bounded, causal, finite; counts add up; nothing is lost unsaid."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import farspan
from farspan import methods
from farspan.attention.rope import Rope
from farspan.engine import Session, attending
from farspan.engine.folding import Folding
from farspan.engine.layer import LayerMemory
from farspan.errors import MethodError
from farspan.methods.parts.plan import Plan
from farspan.types import Budget, Counts
from tests.methods.meter import Meter, apart, storages
from tests.tiny import (
    HEADS,
    WIDE,
    WINDOW,
    different_ids,
    eager,
    every_method,
    least_budget,
    llama,
    model,
    other_defaults,
    random_ids,
    wide,
)

NAMES = every_method()
MORE = [
    *NAMES,
    "infllm(positions=compact, top_k=2, block=9, repr_top_k=2)",
    "infllm(heads=own, top_k=2)",
    "topk(when=both, top_k=2)",
    "em_llm(refinement=modularity, contiguity=0.5, n_mem=20)",
    "quest(when=both, page_size=5, positions=true, dense_layers=0)",
    "hip(positions=capped, second_stage_k=8, chunk_size=2, dense_layers=1)",
    "longheads(window_size=3, atten_length=30)",
    "lm_infinite(top_k=3, when=both)",
    "actqkv(top_k=2, block=9, min_k=1, warmup_step=2)",
    "shadowkv(when=both, chunk_size=3, outlier_chunk=4, positions=compact)",
    "squeezed(when=both, segment=8, clusters=0.4, sparsity=0.5)",
    "squeezed(when=both, segment=10, clusters=0.4, coarse_clusters=0.2, observation_window=9)",
    "infllm(top_k=2)+int4",
    "em_llm(n_mem=20)+int8",
    "hip(second_stage_k=8, chunk_size=2, dense_layers=1)+int4",
    "infllm(top_k=2)+think",
    "infllm(top_k=2)+low_rank(rank=5)",
    "yarn(factor=1.5)+infllm(top_k=2)",
    "entropy_abf(factor=1.5)",
    "dynamic_ntk+self_extend",
    "full[0]+streaming",
    "int8[0]+em_llm[1]+full",
    f"duo_attention(profile={str(HEADS)!r}, positions=compact)+infllm(top_k=2)+int8",
    "yarn(factor=1.5)+snapkv",
    "hyper_attention(block_size=5, sample_size=9, lsh_num_projs=3)+int8",
]
TEXT = different_ids(WIDE - 4, vocabulary=WIDE)
TOGETHER = ("infllm", "em_llm", "hip", "shadowkv", "squeezed", "retrolm", "actqkv")
"""Methods whose queries of a chunk look up together."""
BOOK, MORE_TEXT, OTHER_TEXT, PROMPT, REST = TEXT[:240], TEXT[400:520], TEXT[600:800], TEXT[900:906], TEXT[906:946]


@cache
def least(method: str, chunk: int, disk: int | None = None) -> Budget:
    """A budget that is just enough."""
    parsed = methods.parse(method)
    return Budget(least_budget(lambda budget: wide().session(parsed, budget, chunk=chunk)), disk=disk)


STEP = 4


@cache
def tight(method: str, chunk: int, disk: int | None = None) -> Budget:
    """The least, or as much more as lets a pool take in `STEP` tokens at once: with the least they go one by one."""
    budget = least(method, chunk, disk)
    assert budget.device is not None
    while any(plan.pool for plan in plans(method)) and step(method, budget, chunk) < STEP:
        budget = Budget(2 * budget.device.amount, disk=disk)
    return budget


def step(method: str, budget: Budget, chunk: int) -> int:
    """How many tokens are read at once."""
    with wide().session(method, budget, chunk=chunk) as session:
        return session._stream.kv.limit(False)


def needs_all(method: str) -> bool:
    """Whether it attends to everything, so that nothing may be dropped."""
    return any(plan.select.needs_all for plan in plans(method))


@cache
def plans(method: str) -> list[Plan]:
    """Those of all layers."""
    return [one.plan for layer in methods.parse(method).plans(wide().hosted) for one in layer]


@pytest.mark.parametrize("chunk", [1, 7, 64, 512])
@pytest.mark.parametrize("method", MORE)
def test_exact_when_it_fits(method: str, chunk: int) -> None:
    ids = random_ids(WINDOW)
    with model().session(method, chunk=chunk) as session:
        logits = session.logits(ids)
        counts = session.counts
    assert (logits - eager(llama(), ids)).abs().max() <= 1e-5
    assert counts.exact and counts.kept == counts.seen == WINDOW


@pytest.fixture
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored keys are looked at in pieces: make them so small that a short text has many."""
    parts = "farspan.methods.parts.select"
    monkeypatch.setattr(f"{parts}.ranking._PIECE_TOKENS", 32)
    monkeypatch.setattr(f"{parts}.best_keys._PIECE_TOKENS", 64)
    monkeypatch.setattr(f"{parts}.everything._PIECE_TOKENS", 32)
    monkeypatch.setattr(f"{parts}.top_blocks._PIECE_BLOCKS", 16)
    monkeypatch.setattr(f"{parts}.best_bounds._PIECE_PAGES", 16)
    monkeypatch.setattr(f"{parts}.tree_scan._PIECE_ROWS", 16)
    monkeypatch.setattr(f"{parts}.best_chunks._PIECE_BLOCKS", 16)
    monkeypatch.setattr(f"{parts}.probed_blocks._PIECE_BLOCKS", 16)
    monkeypatch.setattr(f"{parts}.top_landmarks._PIECE_CHUNKS", 16)
    monkeypatch.setattr(f"{parts}.cluster_shares._PIECE_TOKENS", 32)
    monkeypatch.setattr(f"{parts}.cluster_shares._PIECE_CLUSTERS", 4)


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("method", ["full"])
def test_exact_beyond_the_window_at_every_chunk_size(method: str) -> None:
    ids = random_ids(3 * WINDOW + 5)
    wanted = eager(llama(), ids)
    for chunk in (5, 64, 512):
        for budget in (Budget(), tight(method, chunk)):
            with model().session(method, budget, chunk=chunk) as session:
                assert (session.logits(ids) - wanted).abs().max() <= 1e-5
                counts = session.counts
            assert counts.exact
            assert (counts.stored > 0) == (budget.device is not None and chunk < 512)


def add_up(counts: Counts, budget: Budget) -> None:
    assert counts.seen == counts.kept + counts.stored + counts.dropped
    assert min(counts.kept, counts.stored, counts.dropped, counts.fetched) >= 0
    for tier in ("device", "host", "disk"):
        size = getattr(budget, tier)
        assert size is None or counts.kv_bytes[tier] <= size.amount


@pytest.mark.parametrize("disk", [None, 0])
@pytest.mark.parametrize("method", MORE)
def test_bounded_finite_and_the_counts_add_up_at_every_chunk(method: str, disk: int | None) -> None:
    budget = Budget() if needs_all(method) and disk == 0 else least(method, 16, disk)
    before = Counts()
    with model().session(method, budget, chunk=16) as session:
        for number in range(24):
            logits = session.logits(random_ids(16, seed=number))
            counts = session.counts
            add_up(counts, budget)
            assert logits.isfinite().all()
            assert counts.seen == before.seen + 16
            assert counts.dropped >= before.dropped and counts.fetched >= before.fetched
            before = counts
    assert any(plan.keep.stores for plan in plans(method)) or counts.dropped > 0
    if disk == 0:
        assert counts.kv_bytes["disk"] == counts.stored == 0
    else:
        assert counts.dropped == 0 or counts.stored == 0


def peak_of_reading(session: Session, windows: int) -> int:
    """The most bytes of all its tensors during the last of these windows that a session reads, and an answer."""
    session.read(random_ids((windows - 1) * WINDOW))
    with Meter(storages()) as meter:
        session.read(random_ids(WINDOW, seed=1))
        session.generate(random_ids(8), max_new_tokens=2).text  # noqa: B018
    return meter.peak


FETCH_ALL = [
    "topk(top_k=1000000)",
    "lm_infinite(top_k=1000000)",
    "infllm(top_k=1000000)",
    "em_llm(n_mem=1000000)",
    "quest(token_budget=1000000)",
    "hip(second_stage_k=1000000)",
    "longheads(atten_length=1000000)",
    "actqkv(top_k=1000000)",
    "shadowkv(sparse_budget=1000000)",
    "retrolm(top_k=1000000)",
    "squeezed(sparsity=0)",
]
"""Methods that choose, with numbers that let them fetch all there is."""


@pytest.mark.usefixtures("_small_pieces")
@pytest.mark.parametrize("method", [*NAMES, *FETCH_ALL])
def test_the_peak_of_all_tensors_does_not_grow_with_the_text(method: str) -> None:
    budget = tight(method, 32)
    assert budget.device is not None
    filled = methods.parse(method).resolve(WINDOW).window // WINDOW + 2
    with apart(), model().session(method, budget, chunk=32) as session:
        short = peak_of_reading(session, filled)
        assert short > budget.device.amount / 4, "the meter sees nothing"
        assert peak_of_reading(session, 4) <= short + 64 * 1024


@settings(max_examples=8, deadline=None)
@given(method=st.sampled_from(MORE), cut=st.integers(1, 399), chunk=st.sampled_from([9, 32]))
def test_later_tokens_do_not_change_earlier_logits(method: str, cut: int, chunk: int) -> None:
    """Also not those in the same chunk."""
    ids = random_ids(400)
    changed = ids[:cut] + random_ids(400 - cut, seed=1)
    with model().session(method, chunk=chunk) as left, model().session(method, chunk=chunk) as right:
        if any(name in method for name in TOGETHER):
            cut = max(0, cut - chunk)
        difference = (left.logits(ids)[:cut] - right.logits(changed)[:cut]).abs()
    assert difference.numel() == 0 or difference.max() <= 1e-5


@pytest.mark.parametrize("method", ["streaming", "lm_infinite", "topk(when=both, top_k=1000)", "infllm(top_k=1000)"])
def test_chunks_make_no_difference_where_nothing_depends_on_them(method: str) -> None:
    ids = random_ids(300)
    logits = []
    for chunk in (1, 8, 50):
        with model().session(method, chunk=chunk) as session:
            logits.append(session.logits(ids))
    torch.testing.assert_close(logits[1], logits[0], atol=2e-5, rtol=0)
    torch.testing.assert_close(logits[2], logits[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("positions", ["capped", "compact", "true"])
@pytest.mark.parametrize("method", FETCH_ALL)
def test_in_how_many_pieces_something_is_fetched_makes_no_difference(
    method: str, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, ids = method.partition("(")[0], random_ids(400)
    if "positions" in methods.get(name).defaults:
        method = method.replace(")", f", positions={positions})")
    try:
        methods.parse(method)
    except MethodError:
        pytest.skip("it has no such positions")
    logits = []
    for limit in (4096, 40):
        monkeypatch.setattr("farspan.methods.parts.select.ranking._PIECE_TOKENS", limit)
        with model().session(method, chunk=16) as session:
            session.read(ids)
            logits.append(torch.cat([session.logits(ids[:n], answering=True)[-1] for n in (1, 16)]))
    torch.testing.assert_close(logits[1], logits[0], atol=2e-5, rtol=0)


def continued(session: Session) -> tuple[list[int], Tensor]:
    """What the session says, and its logits when it goes on."""
    drawn = session.generate(PROMPT, max_new_tokens=8).ids
    return drawn, session.logits(REST)


def check_same(left: tuple[list[int], Tensor], right: tuple[list[int], Tensor], *, exactly: bool = False) -> None:
    """Equal but for rounding, which depends on how blocks lie in pieces; or `exactly` equal."""
    assert left[0] == right[0]
    torch.testing.assert_close(left[1], right[1], atol=0 if exactly else 1e-5, rtol=0)


@cache
def alone(method: str, budget: Budget) -> tuple[list[int], Tensor]:
    """How a session goes on that has read the book and done nothing else."""
    with wide().session(method, budget, chunk=16) as session:
        session.read(BOOK)
        return continued(session)


KINDS = {"roomy": NAMES, "tight": MORE, "no disk": NAMES}
"""Everything fits; just enough, the rest on disk; just enough, and no disk."""
SESSIONS = pytest.mark.parametrize(
    ("method", "budget"), [(method, kind) for kind, which in KINDS.items() for method in which], indirect=["budget"]
)


@pytest.fixture
def budget(request: pytest.FixtureRequest, method: str) -> Budget:
    if request.param == "roomy":
        return Budget()
    stores = any(plan.keep.stores for plan in plans(method))
    if request.param == "no disk" and (needs_all(method) or not stores):
        pytest.skip("stores nothing, or drops nothing")
    return tight(method, 16, 0 if request.param == "no disk" else None)


@SESSIONS
def test_asking_leaves_a_session_as_it_was(method: str, budget: Budget) -> None:
    with wide().session(method, budget, chunk=16) as asked:
        asked.read(BOOK)
        before = asked.counts
        answers = [asked.ask("where is the key?", max_new_tokens=12).ids for _ in range(2)]
        assert answers[0] == answers[1]
        assert asked.counts == before
        check_same(continued(asked), alone(method, budget), exactly=True)


@pytest.mark.parametrize("method", MORE)
def test_torchs_default_dtype_and_device_make_no_difference(method: str) -> None:
    """Many set them before they load a model."""
    budget = tight(method, 16)
    wanted = alone(method, budget)
    with other_defaults(), wide().session(method, budget, chunk=16) as session:
        session.read(BOOK)
        check_same(continued(session), wanted, exactly=True)


@SESSIONS
def test_the_same_after_saving_and_opening(method: str, budget: Budget, tmp_path: Path) -> None:
    with wide().session(method, budget, chunk=16) as session:
        session.read(BOOK)
        session.save(tmp_path / "saved")
        counts, wanted = session.counts, continued(session)
    for _ in range(2):
        with farspan.open(tmp_path / "saved", wide()) as opened:
            assert opened.counts == counts
            assert opened.method == session.method and opened.budget.device == budget.device
            with opened.fork() as forked:
                found = continued(forked)
                if budget.disk is None:  # otherwise the copy has a disk, and drops no more blocks
                    check_same(found, wanted)


@SESSIONS
def test_a_fork_and_its_parent_do_not_see_each_other(method: str, budget: Budget) -> None:
    with wide().session(method, budget, chunk=16) as parent, wide().session(method, budget, chunk=16) as other:
        for session in (parent, other):
            session.read(BOOK)
        with parent.fork() as fork:
            assert fork.counts == parent.counts
            parent.read(MORE_TEXT)
            if budget.disk is None:  # otherwise blocks that the parent drops are gone for its forks too
                check_same(continued(fork), alone(method, budget))
            fork.read(OTHER_TEXT)
            with fork.fork() as grandchild:
                assert grandchild.counts == fork.counts
                grandchild.read(REST)
        other.read(MORE_TEXT)
        check_same(continued(parent), continued(other), exactly=True)


@pytest.mark.parametrize("method", MORE)
def test_a_fork_goes_on_like_the_session_that_it_was_made_from(method: str) -> None:
    """Also where everything that it meets lies in the memory of that session, and nothing in its own."""
    with model().session(method, chunk=96) as session:
        session.read(random_ids(3 * WINDOW))
        with session.fork() as fork:
            for answering in (False, True):
                ids = random_ids(96, seed=1)
                found, wanted = (one.logits(ids, answering=answering) for one in (fork, session))
                torch.testing.assert_close(found, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("method", ["topk", "topk(when=both)", "infllm"])
def test_keys_that_are_equal_are_chosen_alike_after_saving(method: str, tmp_path: Path) -> None:
    """The keys of a token that comes again and again are all the same in the first layer."""
    ids = random_ids(400, vocabulary=20)
    with wide().session(method, chunk=16) as session:
        session.read(ids)
        session.save(tmp_path / "saved")
        wanted = continued(session)
    with farspan.open(tmp_path / "saved", wide()) as opened, opened.fork() as forked:
        check_same(continued(forked), wanted)


PLUGS: list[tuple[Any, str]] = [
    (Rope, "apply"),
    (Folding, "fold"),
    (attending, "attend_token"),
    (LayerMemory, "_note"),
    (LayerMemory, "_note_queries"),
]


class Pulled(BaseException):
    """The plug."""


@SESSIONS
def test_broken_off_in_the_middle_of_a_step_it_goes_on_as_before(
    method: str, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, wanted = 0, alone(method, budget)

    def failing(works: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Pulled
            return works(*given, **named)

        return called

    with wide().session(method, budget, chunk=16) as pulled, wide().session(method, budget, chunk=16) as measured:
        for session in (pulled, measured):
            session.read(BOOK)
        step = MORE_TEXT[: pulled._stream.kv.limit(False)]
        for place, name in PLUGS:
            monkeypatch.setattr(place, name, failing(getattr(place, name)))
        left = 1000
        measured.logits(step)
        calls = 1000 - left
        for until in (calls - 1, calls // 3, calls // 3 + 1, 0):  # what leaves before a step does so the first time
            before, left = pulled.counts, until
            with pytest.raises(Pulled):
                pulled.logits(step)
            after = pulled.counts
            assert (after.seen, after.fetched, after.exact) == (before.seen, before.fetched, before.exact)
            add_up(after, budget)
        left = 10**9
        check_same(continued(pulled), wanted, exactly=True)
