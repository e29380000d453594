"""The loop: what was stopped goes on as if it had not been, stages end when they should, odd settings do no harm."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from farspan.errors import UsageError
from farspan.recipes import checkpoints, losses, train
from farspan.recipes.mix import Mix
from farspan.recipes.rows import RUNNING, Row, collate
from tests.recipes.conftest import FAMILIES

Make = Callable[[int], LlamaForCausalLM]
STAGE = train.Stage(length=128, seconds=1e9, mastery=2.0, strangers=1.0)
CONFIG = train.Config(shares=FAMILIES, stages=(STAGE,), tokens=256, threads=1, warmup=2)


class Loop:
    """Runs the loop in one folder, and keeps what it logs."""

    def __init__(self, out: Path, mix: Mix, make: Make) -> None:
        self.out, self.mix, self.make = out, mix, make
        self.lines: list[str] = []

    def run(self, config: train.Config, *, seed: int = 0) -> LlamaForCausalLM:
        return train.run(config, self.make(seed), self.mix.tokenizer, self.mix, out=self.out, log=self.lines.append)

    def saved(self) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(self.out / "state.pt", weights_only=True)
        return found


@pytest.fixture
def loop(tmp_path: Path, small_mix: Mix, make: Make) -> Loop:
    return Loop(tmp_path / "run", small_mix, make)


def flat(value: Any) -> list[Any]:
    """All numbers and tensors of a state, in order."""
    if isinstance(value, dict):
        return [part for key in value for part in (key, *flat(value[key]))]
    if isinstance(value, (list, tuple)):
        return [part for item in value for part in flat(item)]
    return [value]


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for left, right in zip(flat(one), flat(other), strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else left == right


def without_clock(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "state": {**state["state"], "in_stage": 0.0}}


def test_a_resumed_run_equals_one_that_was_not_stopped(loop: Loop, tmp_path: Path, small_mix: Mix, make: Make) -> None:
    loop.run(replace(CONFIG, steps=2))
    loop.run(replace(CONFIG, steps=4), seed=1)
    whole = Loop(tmp_path / "whole", small_mix, make)
    whole.run(replace(CONFIG, steps=4))
    assert_same(without_clock(loop.saved()), without_clock(whole.saved()))


def test_a_run_that_has_come_further_stops_at_once_and_says_so(loop: Loop) -> None:
    loop.run(replace(CONFIG, steps=2))
    assert loop.lines[-1].startswith("done: 2 steps")
    before = loop.saved()
    loop.run(replace(CONFIG, steps=1))
    assert "this run is finished: 2 steps" in loop.lines[-1] and "another folder" in loop.lines[-1]
    assert_same(loop.saved(), before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock is ten seconds later."""
    ticks = itertools.count(0, 10)
    monkeypatch.setattr(train.time, "monotonic", lambda: float(next(ticks)))


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of all steps, of which none takes any time and every answer is right."""
    found: list[float] = []

    def step(config: train.Config, now: checkpoints.Run, batch: object, log: train.Log) -> float:
        found.append(train._rate(config, now.state))
        assert len(found) < 100, "this run has no end"
        now.state.step += 1
        now.state.scores = dict.fromkeys(FAMILIES, 1.0)
        return found[-1]

    monkeypatch.setattr(train, "_step", step)
    return found


@pytest.mark.usefixtures("clock")
def test_a_stage_ends_when_it_is_mastered_and_the_last_by_its_time_alone(loop: Loop, rates: list[float]) -> None:
    first, last = replace(STAGE, mastery=0.9, rate=1.0), replace(STAGE, mastery=0.9, rate=0.5, seconds=100.0)
    loop.run(replace(CONFIG, stages=(first, last), warmup=0))
    assert rates[:4] == [1.0] * 4  # until 30 s have passed
    decayed = [min(1.0, (1 - seconds / 100) / CONFIG.decay) for seconds in range(0, 101, 10)]
    assert rates[4:] == pytest.approx([0.5 * max(0.02, share) for share in decayed])
    assert loop.lines == ["next stage: 1", loop.lines[-1]]


@pytest.mark.usefixtures("clock")
def test_a_stage_ends_by_its_time_though_nothing_is_mastered(loop: Loop, rates: list[float]) -> None:
    loop.run(replace(CONFIG, stages=(replace(STAGE, seconds=45.0), replace(STAGE, seconds=25.0)), warmup=5))
    assert len(rates) == 5 + 3
    assert rates[:5] == pytest.approx([STAGE.rate * step / 5 for step in range(1, 6)])


@pytest.mark.usefixtures("clock", "rates")
def test_a_family_without_a_share_keeps_no_stage_from_ending(loop: Loop) -> None:
    shares = {**FAMILIES, "several": 0.0}
    loop.run(replace(CONFIG, shares=shares, stages=(replace(STAGE, mastery=0.9), replace(STAGE, seconds=1.0))))
    assert "next stage: 1" in loop.lines


@pytest.mark.usefixtures("clock", "rates")
def test_a_run_is_saved_at_every_change_of_stage_and_in_between(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[tuple[int, int]] = []
    monkeypatch.setattr(
        train, "checkpoint", lambda out, now, tokenizer: saved.append((now.state.step, now.state.stage))
    )
    loop.run(replace(CONFIG, stages=(replace(STAGE, seconds=35.0), replace(STAGE, seconds=65.0)), save_every=25.0))
    assert saved == [(0, 0), (3, 0), (4, 1), (7, 1), (10, 1), (11, 2)]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_held_back_until_the_step_is_done_and_saved(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    step = train._step

    def stopped(*given: Any) -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return step(*given)

    monkeypatch.setattr(train, "_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        loop.run(replace(CONFIG, steps=4))
    assert loop.saved()["state"]["step"] == 1
    assert (loop.out / "model" / "config.json").exists()


def test_what_a_run_was_begun_with_must_be_asked_for_again(loop: Loop) -> None:
    loop.run(replace(CONFIG, steps=0, begun_with={"seed": "0"}))
    with pytest.raises(UsageError, match=r"begun with seed=0, not with seed=1; give seed=0 again"):
        loop.run(replace(CONFIG, steps=1, begun_with={"seed": "1"}))
    with pytest.raises(UsageError, match=r"begun with no start, not with start=a"):
        loop.run(replace(CONFIG, steps=1, begun_with={"seed": "0", "start": "a"}))


@pytest.mark.usefixtures("clock", "rates")
def test_a_last_stage_without_time_is_one_step(loop: Loop) -> None:
    loop.run(replace(CONFIG, stages=(replace(STAGE, seconds=0.0),)))
    assert loop.lines[-1].startswith("done: 1 steps")


def test_no_text_is_longer_than_its_stage(small_mix: Mix) -> None:
    for step in range(8):
        assert train._draw(CONFIG, replace(STAGE, length=64), small_mix, step).ids.shape == (4, 64)


def test_queries_learn_at_a_rate_of_their_own(loop: Loop, make: Make) -> None:
    optimiser = train._optimiser(make(0), CONFIG)
    now = checkpoints.Run(make(0), make(0), optimiser, {})
    train._step(replace(CONFIG, warmup=0, matching=0.25), now, train._draw(CONFIG, STAGE, loop.mix, 0), print)
    assert [group["lr"] for group in optimiser.param_groups] == [STAGE.rate * CONFIG.matching, STAGE.rate]
    assert len(optimiser.param_groups[0]["params"]) == 2


def test_scores_follow_what_was_right_and_the_average_is_a_mean_at_first(
    loop: Loop, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(0)
    now = checkpoints.Run(model, make(0), train._optimiser(model, CONFIG), {})
    monkeypatch.setattr(train, "exact", lambda *_: {"needle": [1, 1], "copy": [1, 0]})
    weights = []
    for step in range(2):
        train._step(CONFIG, now, train._draw(CONFIG, STAGE, loop.mix, step), print)
        weights.append(model.lm_head.weight.detach().clone())
    share = 1 - 0.93**2
    assert now.state.scores["needle"] == pytest.approx(1 - 0.93**4)
    assert now.state.scores["copy"] == pytest.approx((share + share * (1 - share)) / 2)
    torch.testing.assert_close(now.average.lm_head.weight, (weights[0] + weights[1]) / 2)
    assert now.state.seen == 512 and not torch.equal(*weights)


def test_strangers_are_seen_in_a_share_of_the_steps(loop: Loop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    model = make(0)
    monkeypatch.setattr(train, "strangers", lambda batch, draw, *_: drawn.append(draw))
    now = checkpoints.Run(model, make(0), train._optimiser(model, CONFIG), {})
    batch = train._draw(CONFIG, STAGE, loop.mix, 0)
    for share, seed, steps in ((1.0, 0, [0, 1]), (0.0, 0, []), (1.0, 2, [2 * 10**9 + 4, 2 * 10**9 + 5])):
        drawn.clear()
        for _ in range(2):
            train._step(replace(CONFIG, seed=seed, stages=(replace(STAGE, strangers=share),)), now, batch, print)
        assert drawn == steps


def test_a_batch_that_asks_nothing_has_a_loss(loop: Loop, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("quotes")
    row.add(list(range(100, 200)), running=True)
    monkeypatch.setattr(train, "draw_batch", lambda *_: collate([row], 128, 3))
    loop.run(replace(CONFIG, steps=2, stages=(replace(STAGE, strangers=0.0),)))
    assert "loss" not in loop.saved()["state"]["scores"]
    assert not any("not finite" in line for line in loop.lines)


def test_the_loss_is_of_the_next_token_also_in_running_text(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("quotes")
    row.add(list(range(100, 150)), running=True)
    row.answer([7, 8, 9])
    batch, model = collate([row], 128, 3), make(0)
    monkeypatch.setattr(torch, "rand", torch.zeros)  # all of the running text is sampled
    monkeypatch.setattr(losses, "lacks_products", lambda dtype: True)
    loss, right = losses.loss_of(model, batch, 0.5)
    logits, following = model(batch.ids).logits[0], torch.tensor([*row.ids[1:]])
    each = F.cross_entropy(logits[: len(following)], following, reduction="none")
    assert loss.item() == pytest.approx((each[49:].mean() + 0.5 * each[:49].mean()).item(), rel=1e-4)
    assert (batch.labels[0, :49] == RUNNING - following[:49]).all() and right.shape == (2, 3)


def test_seeds_draw_other_strangers_and_the_first_as_ever(small_mix: Mix, make: Make) -> None:
    batch, speeds = train._draw(CONFIG, STAGE, small_mix, 0), make(0).model.rotary_emb.inv_freq
    drawn = {seed: losses.strangers(batch, 3 + seed * train._APART, train.causal.Past(), speeds) for seed in (0, 1)}
    assert drawn[0].distance != drawn[1].distance or not torch.equal(drawn[0].asked, drawn[1].asked)
