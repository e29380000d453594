"""EM-LLM: where events begin and end, what is recalled with them, and the whole method against a slow reference."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan import methods
from farspan.engine import Model
from farspan.errors import MethodError
from farspan.methods.parts.segment.refinement import best_split, conductance, modularity, refined
from farspan.methods.parts.segment.surprise import Events
from tests.methods.brute_events import EMLLM, Record, logits, walk
from tests.tiny import different_ids, eager, llama, random_ids, tokenizer

WINDOW = 48


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


def test_a_token_that_surprises_begins_an_event() -> None:
    """Mean 2 and standard deviation 1 before the chunk: the limit is 2 + gamma."""
    before_N = torch.tensor([1.0, 2.0, 3.0])
    surprise_T = torch.tensor([2.9, 3.1, 0.0, 4.1])
    assert Events(gamma=1.0).marks(surprise_T, before_N, None).tolist() == [False, True, False, True]
    assert Events(gamma=2.0).marks(surprise_T, before_N, None).tolist() == [False, False, False, True]


def test_events_are_cut_and_joined_by_hand() -> None:
    events = Events(shortest=3, longest=5)
    marks = "..|.|...|..........|"
    assert events.cut(20, torch.tensor([mark == "|" for mark in marks])) == [4, 4, 5, 5]


@settings(max_examples=200, deadline=None)
@given(marks=st.lists(st.booleans(), max_size=80), shortest=st.integers(1, 6), more=st.integers(0, 9), data=st.data())
def test_events_do_not_hang_on_when_they_are_cut(
    marks: list[bool], shortest: int, more: int, data: st.DataObject
) -> None:
    events = Events(shortest=shortest, longest=shortest + more)
    whole = events.cut(len(marks), torch.tensor(marks, dtype=torch.bool))
    assert whole == walk(marks, shortest, shortest + more)
    seen = data.draw(st.integers(0, len(marks)))
    early = events.cut(seen, torch.tensor(marks, dtype=torch.bool))
    assert early == whole[: len(early)]
    rest = marks[sum(early) :]
    assert early + events.cut(len(rest), torch.tensor(rest, dtype=torch.bool)) == whole


def likeness(seed: int, size: int) -> Tensor:
    keys = torch.randn(size, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + 1
    return keys @ keys.T


def slow_modularity(a: Tensor, split: int) -> float:
    total, degree, quality = float(a.sum()), a.sum(1), 0.0
    for side in (range(split), range(split, len(a))):
        for i in side:
            for j in side:
                quality += float(a[i, j]) - float(degree[i] * degree[j]) / total
    return quality / (2 * total)


def slow_conductance(a: Tensor, split: int) -> float:
    size = len(a)
    cut = sum(float(a[i, j]) for i in range(split) for j in range(split, size))
    left = sum(float(a[i, j]) for i in range(split) for j in range(split))
    right = sum(float(a[i, j]) for i in range(split, size) for j in range(split, size))
    return cut / min(left, right)


@pytest.mark.parametrize("seed", range(4))
def test_modularity_and_conductance_pair_by_pair(seed: int) -> None:
    a, split_S = likeness(seed, 9), torch.arange(1, 9)
    wanted = torch.tensor([slow_modularity(a, split) for split in range(1, 9)], dtype=torch.float64)
    torch.testing.assert_close(modularity(a, split_S), wanted)
    wanted = torch.tensor([slow_conductance(a, split) for split in range(1, 9)], dtype=torch.float64)
    torch.testing.assert_close(conductance(a, split_S), wanted)


@pytest.mark.parametrize("quality", ["modularity", "conductance"])
def test_a_boundary_moves_to_where_the_keys_change(quality: str) -> None:
    """Six tokens of one kind, then six of another; the surprise comes three tokens late."""
    keys = torch.tensor([[1.0, 0.1]] * 6 + [[0.1, 1.0]] * 6)
    a = keys @ keys.T
    assert best_split(a, torch.arange(1, 12), quality) == 5
    mark_T = torch.zeros(12, dtype=torch.bool)
    mark_T[9] = True
    assert refined(mark_T, a, 0, 1, quality).nonzero().flatten().tolist() == [6]
    assert refined(mark_T[4:], a, 4, 1, quality).nonzero().flatten().tolist() == [6 - 4]
    assert refined(mark_T, a, 0, 8, quality).nonzero().flatten().tolist() == [8]


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_surprise_is_minus_log_p(model: Model, chunk: int) -> None:
    ids = random_ids(40, seed=2)
    with model.session("em_llm", chunk=chunk) as session:
        session.read(ids)
        found = session._stream.kv.state_dict()[1]["surprise.0.surprise"]
    log_TV = eager(llama(max_position_embeddings=WINDOW), ids).log_softmax(-1)
    wanted = [math.log(model.hosted.vocab_size), *(-float(log_TV[at, token]) for at, token in enumerate(ids[1:]))]
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-4, rtol=0)


@pytest.mark.parametrize("lengths", ["min_block_size=10, max_block_size=5", "min_block_size=99"])
def test_events_that_no_length_is_left_for_are_refused(lengths: str) -> None:
    with pytest.raises(MethodError, match=r"no event has at least (10|99)") as caught:
        methods.parse(f"em_llm({lengths})").resolve(WINDOW)
    assert "max_block_size of" in caught.value.fix


CALL = "em_llm(n_init=3, n_local=20, n_mem={n_mem}, surprisal_threshold_gamma={gamma}, min_block_size=2, \
max_block_size=7, contiguity={share})"


@pytest.mark.parametrize(
    ("chunk", "n_mem", "share", "gamma"), [(6, 20, 0.3, 0.5), (6, 20, 0.0, 0.5), (1, 12, 0.5, 0.0), (6, 24, 0.3, 5.0)]
)
def test_a_method_is_what_its_paper_says(model: Model, chunk: int, n_mem: int, share: float, gamma: float) -> None:
    ids = different_ids(144, seed=3)
    record = Record(20, gamma)
    rules = [
        EMLLM(WINDOW, 3, 20, 1, 0, record=record, shortest=2, longest=7, n_mem=n_mem, share=share)
        for _ in model.hosted.facts
    ]
    wanted = logits(model.hosted, rules, ids, chunk)
    with model.session(CALL.format(n_mem=n_mem, gamma=gamma, share=share), chunk=chunk) as session:
        torch.testing.assert_close(session.logits(ids), wanted, atol=2e-5, rtol=0)
    assert len(set(rules[0].lengths)) > 1 or gamma == 5.0
    assert bool(rules[0].queue) == (share > 0)


def test_a_window_of_a_few_tokens_still_has_events(model: Model) -> None:
    ids = different_ids(200, seed=3)
    with model.session("em_llm", chunk=7) as session:
        assert session.logits(ids).isfinite().all()
        assert session.counts.fetched > 0


@pytest.mark.parametrize("quality", ["modularity", "conductance"])
def test_refined_boundaries_are_other_boundaries(model: Model, quality: str) -> None:
    ids = different_ids(144, seed=3)
    call = (
        "em_llm(n_init=3, n_local=20, min_block_size=2, max_block_size=9, surprisal_threshold_gamma=0.5, refinement={})"
    )
    with (
        model.session(call.format(quality), chunk=12) as session,
        model.session(call.format("none"), chunk=12) as other,
    ):
        session.read(ids)
        other.read(ids)
        marks = [one._stream.kv.state_dict()[1]["surprise.0.mark"] for one in (session, other)]
        assert not torch.equal(marks[0][-20:], marks[1][-20:])
        assert marks[0][-20:].any()


def test_what_is_written_is_cut_too(model: Model) -> None:
    with model.session("em_llm(n_init=3, n_local=8, surprisal_threshold_gamma=0.5, max_block_size=6)") as session:
        session.read(random_ids(60))
        before = session._stream.kv.layers[0].arenas["index"].length
        answer = session.generate(random_ids(3, seed=1), max_new_tokens=40)
        assert len(answer.ids) > 10
        assert session._stream.kv.layers[0].arenas["index"].length > before
