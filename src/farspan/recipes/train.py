"""The one training loop: stages of growing length, each left when it is mastered or its time is up; resumable."""

from __future__ import annotations

import copy
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.engine.uninterrupted import uninterrupted
from farspan.recipes import causal
from farspan.recipes.checkpoints import Run, State, checkpoint, resume
from farspan.recipes.holding import MODEL
from farspan.recipes.losses import exact, loss_of, strangers
from farspan.recipes.mix import Mix
from farspan.recipes.rows import Batch, collate

SHORTEST = 128
Log = Callable[[str], None]
_APART = 10**9
"""How far apart the draws of two seeds lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Documents of `length` tokens until every family's running score reaches `mastery`, or `seconds` have passed.

    `strangers` is the share of steps in which answers see the keys of other texts (see `causal.py`).
    """

    length: int
    seconds: float
    mastery: float
    rate: float = 1.5e-3
    strangers: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All that a training run is told; see the recipes for values that work.

    `matching` multiplies the learning rate of queries. `trained` says which numbers of which weights may change (see
    `trainable.py`). `begun_with` is what a run that is resumed must be asked for again, by name.
    """

    shares: dict[str, float]
    stages: tuple[Stage, ...]
    tokens: int = 8192
    warmup: int = 30
    decay: float = 0.75
    running_text: float = 0.1
    shorter: float = 0.5
    seed: int = 0
    threads: int = 2
    save_every: float = 240.0
    steps: int | None = None
    average: float = 0.02
    matching: float = 0.1
    trained: Mapping[str, Tensor] = field(default_factory=dict)
    begun_with: Mapping[str, str] = field(default_factory=dict)


def draw_batch(mix: Mix, rng: random.Random, length: int, tokens: int) -> Batch:
    """As many rows of `length` as `tokens` allows."""
    rows = [mix.row(rng, length) for _ in range(max(1, tokens // length))]
    return collate(rows, length, mix.tokenizer.pad_token_id)


def run(
    config: Config, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, mix: Mix, *, out: Path, log: Log
) -> LlamaForCausalLM:
    """Train `model`; keep a resumable state in `out/state.pt`, and in `out/model` the averaged model it returns.

    A run that Ctrl-C stops is saved before KeyboardInterrupt goes on. Raises what `resume` and `checkpoint` do.
    """
    torch.set_num_threads(config.threads)
    out.mkdir(parents=True, exist_ok=True)
    model.set_attn_implementation(causal.register())
    now = Run(model, copy.deepcopy(model), _optimiser(model, config), config.begun_with)

    def keep() -> None:
        with uninterrupted():
            checkpoint(out, now, tokenizer)

    resumed = resume(out, now)
    if not resumed:
        keep()
    over = resumed and _finished(config, now.state)
    try:
        _train(config, now, mix, keep, log)
    except KeyboardInterrupt:
        keep()
        log(f"stopped and saved at step {now.state.step:,}; the same command goes on from there")
        raise
    keep()
    come = f"{now.state.step:,} steps, {now.state.seen / 1e6:.2f}M tokens; the model is in {out / MODEL}"
    log(f"this run is finished: {come}; give another folder for another run" if over else f"done: {come}")
    now.average.set_attn_implementation("sdpa")
    return now.average


def _train(config: Config, now: Run, mix: Mix, keep: Callable[[], None], log: Log) -> None:
    """Step until all stages are done; `keep` saves the run, at every change of stage and in between."""
    state = now.state
    saved = last = time.monotonic()
    while not _finished(config, state):
        stage = config.stages[state.stage]
        batch = _draw(config, stage, mix, state.step)
        with uninterrupted():
            rate = _step(config, now, batch, log)
            clock = time.monotonic()
            state.in_stage, last = state.in_stage + clock - last, clock
            line, left = _line(state, stage, rate), _left(config, state, stage)
            if left:
                state.stage, state.in_stage = state.stage + 1, 0.0
        if state.step % 20 == 0:
            log(line)
        if _finished(config, state):
            return
        if left:
            log(f"next stage: {state.stage}")
        if left or clock - saved > config.save_every:
            saved = clock
            keep()


def _draw(config: Config, stage: Stage, mix: Mix, step: int) -> Batch:
    """The batch of a step: the same whenever it is drawn. Some are of shorter texts than the stage's."""
    rng = random.Random(f"{config.seed}-{step}")
    length = stage.length if rng.random() > config.shorter else max(SHORTEST, stage.length // rng.choice((2, 4)))
    return draw_batch(mix, rng, min(length, stage.length), config.tokens)


def _finished(config: Config, state: State) -> bool:
    return state.stage >= len(config.stages) or (config.steps is not None and state.step >= config.steps)


def _optimiser(model: LlamaForCausalLM, config: Config) -> torch.optim.AdamW:
    """AdamW that leaves be what has next to no gradient: heads at rest would drift by noise of full size otherwise."""
    queries = [value for name, value in model.named_parameters() if "q_proj" in name]
    others = [value for name, value in model.named_parameters() if "q_proj" not in name]
    groups = [{"params": queries, "share": config.matching}, {"params": others, "share": 1.0}]
    return torch.optim.AdamW(groups, lr=config.stages[0].rate, betas=(0.9, 0.98), weight_decay=0.0, eps=1e-6)


def _step(config: Config, now: Run, batch: Batch, log: Log) -> float:
    """Learn from one batch; the learning rate it was done at."""
    state, model, optimiser = now.state, now.model, now.optimiser
    draw = state.step + _APART * config.seed
    rate = _rate(config, state)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    among = (
        strangers(batch, draw, now.past, now.model.model.rotary_emb.inv_freq)
        if random.Random(draw).random() < config.stages[state.stage].strangers
        else None
    )
    loss, right = loss_of(model, batch, config.running_text, among)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    for name, weight in model.named_parameters():
        if name in config.trained and weight.grad is not None:
            weight.grad.mul_(config.trained[name])
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if math.isfinite(float(norm)):
        optimiser.step()
    else:
        log(f"step {state.step}: gradient is not finite, skipped")
    now.follow(config.average)
    state.step += 1
    state.seen += batch.ids.numel()
    for family, hits in exact(batch, right).items():
        before = state.scores.get(family, 0.0)
        weight = 0.93 ** len(hits) if len(hits) < 40 else 0.06
        state.scores[family] = weight * before + (1 - weight) * sum(hits) / len(hits)
    if right.numel() and math.isfinite(loss.item()):
        state.scores["loss"] = 0.95 * state.scores.get("loss", loss.item()) + 0.05 * loss.item()
    return rate


def _rate(config: Config, state: State) -> float:
    """Warm-up, then the stage's rate, with a linear decay over the last part of the last stage's time."""
    stage = config.stages[state.stage]
    rate = stage.rate * min(1.0, (state.step + 1) / max(1, config.warmup))
    if state.stage == len(config.stages) - 1:
        left = 1.0 - state.in_stage / max(stage.seconds, 1e-9)
        rate *= max(0.02, min(1.0, left / config.decay))
    return rate


def _left(config: Config, state: State, stage: Stage) -> bool:
    if state.in_stage > stage.seconds:
        return True
    last = state.stage == len(config.stages) - 1
    scores = [state.scores.get(family, 0.0) for family, share in config.shares.items() if share > 0]
    return not last and state.in_stage > 30 and min(scores) >= stage.mastery


def _line(state: State, stage: Stage, rate: float) -> str:
    scores = " ".join(f"{family}={score:.2f}" for family, score in sorted(state.scores.items()))
    return f"step {state.step} {state.seen / 1e6:.2f}M len {stage.length} {state.in_stage:.0f}s lr {rate:.1e} {scores}"
