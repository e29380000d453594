"""Contenders that take turns: the order, the medians, what is held against them; and contenders in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import torch

from farspan.bench import race
from farspan.bench.costs import Costs, KeyCost, Machine
from farspan.bench.peers import hugging_face
from farspan.bench.peers.hugging_face import HuggingFace
from farspan.bench.peers.ours import Ours
from farspan.bench.race import DECODE, GROUP, PIECE, PREFILL, Turn
from farspan.errors import FarspanError
from farspan.methods import parse
from farspan.types import Budget
from tests.bench.random_llama import model
from tests.tiny import random_ids

COSTS = Costs(weight_bytes=100, operations=40, keys=(KeyCost(numbers=10, operations=2),))
MACHINE = Machine(bytes_per_s=100.0, operations_per_s=100.0)


class Fake:
    """Writes 8 tokens in the next of its seconds, each attending to 10 keys of 20 bytes; reads 100 in twice that."""

    item_bytes = 2
    is_peer = False

    def __init__(self, name: str, tokens: int, seconds: list[float], order: list[str], streams: int = 1) -> None:
        self.name, self.tokens, self.order, self._seconds = name, tokens, order, iter(seconds)
        self._streams = streams

    def write(self) -> Turn:
        self.order.append(f"{self.name} {self.tokens}")
        return Turn(next(self._seconds), 8, 10.0, self._streams)

    def read_on(self) -> Turn:
        return Turn(2 * next(self._seconds), 100, 10.0)


def test_contenders_take_turns_and_the_first_round_warms_up() -> None:
    order: list[str] = []
    ours = Fake("ours", 8, [99.0, 40.0, 32.0, 48.0], order)
    peer = Fake("peer", 8, [0.0, 80.0, 900.0, 80.0], order)
    far = Fake("ours", 64, [99.0, 44.0, 44.0, 44.0], order)
    first, second, third = race.race(DECODE, [ours, peer, far], 3, COSTS, MACHINE).rows
    assert order == ["ours 8", "peer 8", "ours 64"] * 4
    assert (first.name, first.tokens, first.ms, first.tokens_per_s) == ("ours", 8, 5000.0, 0.2)
    assert (first.ratio, second.ratio, third.ratio) == (1.0, 2.0, 1.0)
    assert (first.growth, second.growth, third.growth) == (1.0, 1.0, 1.1)
    assert (first.ceiling_ms, first.share) == (3000.0, 0.6)


def test_reading_is_held_against_operations() -> None:
    (row,) = race.race(PREFILL, [Fake("ours", 8, [1.0, 50.0], [])], 1, COSTS, MACHINE).rows
    assert (row.ms, row.tokens_per_s, row.ceiling_ms, row.share) == (1000.0, 1.0, 600.0, 0.6)


class Failing(Fake):
    """Fails at its last turn."""

    def write(self) -> Turn:
        turn = super().write()
        if self.error is not None and turn.seconds == 0.5:
            raise self.error
        return turn

    def __init__(self, name: str, error: BaseException | None, *, is_peer: bool) -> None:
        super().__init__(name, 8, [8.0, 16.0, 0.5, 8.0], [])
        self.error, self.is_peer = error, is_peer


def test_a_peer_that_fails_takes_part_no_longer() -> None:
    ours, peer = Failing("ours", None, is_peer=False), Failing("peer", RuntimeError("out of memory"), is_peer=True)
    raced = race.race(DECODE, [ours, peer], 3, COSTS, MACHINE)
    assert [(row.name, row.ms) for row in raced.rows] == [("ours", 1000.0)]
    assert raced.lost == {"peer": "after 8 tokens: RuntimeError: out of memory"} and raced.failure is None


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FarspanError("the disk is full")])
def test_what_was_measured_before_it_ended_counts(error: BaseException) -> None:
    ours = Failing("ours", error, is_peer=False)
    raced = race.race(DECODE, [ours], 3, COSTS, MACHINE)
    assert [row.ms for row in raced.rows] == [2000.0] and raced.failure is error
    nothing = Fake("ours", 8, [], [])
    assert race.race(DECODE, [nothing], 1, COSTS, MACHINE).rows == []


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_ours_writes_and_reads_on_at_the_same_length(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    ours = Ours(model(), parse("infllm(top_k=2, block=8)"), Budget(), random_ids(300), opened)
    assert (ours.name, ours.tokens) == ("farspan infllm(top_k=2, block=8)", 300)
    first, second = ours.write(), ours.write()
    assert (first.seconds, first.tokens, second.tokens) == (1.0, GROUP, GROUP)
    plan = parse("infllm").plans(model().hosted)[0][0].plan
    for turn in (first, second, ours.read_on(), ours.read_on()):
        assert plan.sinks + plan.window <= turn.keys <= plan.sinks + plan.window + 2 * 8 * 2
    assert ours.read_on().tokens == PIECE


def test_sessions_that_write_at_once_share_the_weights(opened: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(now)))
    ours = Ours(model(), parse("infllm(top_k=2, block=8)"), Budget(), random_ids(300), opened)
    both = ours.together(2)
    assert both.name == "farspan infllm(top_k=2, block=8), 2 at once"
    first, second, read = both.write(), both.write(), both.read_on()
    assert [turn.tokens for turn in (first, second)] == [2 * GROUP, 2 * GROUP]
    assert (first.streams, second.streams, read.streams) == (2, 2, 1)
    (row,) = race.race(DECODE, [Fake("two", 8, [0.0, 8.0], [], streams=2)], 1, COSTS, MACHINE).rows
    (alone,) = race.race(DECODE, [Fake("one", 8, [0.0, 8.0], [])], 1, COSTS, MACHINE).rows
    assert alone.ceiling_ms - row.ceiling_ms == 1e3 * COSTS.weight_bytes / 2 / MACHINE.bytes_per_s


@pytest.mark.parametrize(("method", "keys"), [("full", 300), ("streaming(recent_size=40, start_size=4)", 44)])
def test_keys_are_what_the_method_keeps(opened: ExitStack, method: str, keys: int) -> None:
    ours = Ours(model(), parse(method), Budget(), random_ids(300), opened)
    assert keys <= ours.write().keys <= keys + 16


def test_transformers_goes_on_from_a_full_cache() -> None:
    peer = HuggingFace(model(), random_ids(40))
    assert (peer.write().keys, peer.write().keys) == (44.5, 52.5)
    assert peer._cache.get_seq_length() == 40 + 2 * GROUP
    turn = peer.read_on()
    assert (turn.tokens, turn.keys) == (PIECE, 40 + 256.5)
    assert [tuple(k_GSD.shape) for k_GSD, _ in peer._kv] == [(1, 2, 40, 16)] * 2
    assert peer._kv[0][0].dtype == torch.float32


def test_transformers_hands_each_token_to_who_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So does farspan, which draws from every token's logits: on a GPU that waits for each."""
    looked: list[str] = []

    class Logits:
        def __getitem__(self, at: int) -> Logits:
            return self

        def item(self) -> float:
            looked.append("looked")
            return 0.0

    monkeypatch.setattr(hugging_face, "next_logits", lambda *_: looked.append("computed") or Logits())
    HuggingFace(model(), random_ids(40)).write()
    assert looked == ["computed", "looked"] * GROUP


def test_transformers_reads_on_a_cache_as_long_as_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    monkeypatch.setattr(
        hugging_face, "next_logits", lambda model, ids, cache: lengths.append(cache.get_seq_length()) or torch.zeros(1)
    )
    peer = HuggingFace(model(), random_ids(40))
    for _ in range(2):
        peer.read_on()
    assert lengths == [40, 40]


def test_more_sessions_than_tokens(opened: ExitStack) -> None:
    assert Ours(model(), parse("full"), Budget(), random_ids(3), opened).together(5).write().tokens == 5 * GROUP
