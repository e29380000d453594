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
from torch.nn import functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.attention.processor import lacks_products
from farspan.recipes import causal
from farspan.recipes.checkpoints import Run, State, checkpoint, resume
from farspan.recipes.mix import Mix
from farspan.recipes.rows import RUNNING, Batch, collate

Log = Callable[[str], None]


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
    `trainable.py`).
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


def loss_of(
    model: LlamaForCausalLM, batch: Batch, running_text: float, strangers: causal.Strangers | None = None
) -> tuple[Tensor, Tensor]:
    """The loss, and for each label of an answer whether the most likely token was right (rows: owner, right).

    Products are made in bfloat16 where the processor is fast at them, else in float32.
    """
    mixed = torch.autocast("cpu", torch.bfloat16, enabled=not lacks_products(torch.bfloat16))
    with mixed:
        hidden = model.model(input_ids=batch.ids, use_cache=False, strangers=strangers).last_hidden_state
    text = (batch.labels <= RUNNING) & (torch.rand(batch.labels.shape) < 0.125)
    asked = batch.labels >= 0
    chosen = asked | text
    labels = torch.where(batch.labels <= RUNNING, RUNNING - batch.labels, batch.labels)[chosen]
    rows = hidden[chosen]
    spare = -len(rows) % 512  # few different shapes, or the CPU's cache of compiled products grows by gigabytes
    with mixed:
        logits = F.linear(F.pad(rows, (0, 0, 0, spare)), model.lm_head.weight)[: len(rows)]
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    of_answer = asked[chosen]
    loss = losses[of_answer].mean()
    if text.any():
        loss = loss + running_text * losses[~of_answer].mean()
    right = logits[of_answer].argmax(-1) == labels[of_answer]
    return loss, torch.stack((batch.owner[chosen][of_answer], right.long()))


def strangers(batch: Batch, step: int, past: causal.Past, speeds: Tensor, amount: int = 192) -> causal.Strangers:
    """Some `amount` of asked places see all other texts; not so in variables, whose few names would mean two things."""
    alike = torch.tensor([text == "variables" for text in batch.texts])
    seen = ~(torch.eye(len(batch.texts), dtype=torch.bool) | (alike[:, None] & alike[None, :]))
    rng = random.Random(f"strangers-{step}")
    rows = [row.nonzero()[:, 0].tolist() or [0] for row in batch.labels >= 0]
    each = max(1, amount // len(rows))
    places = torch.tensor([sorted(rng.choices(row, k=each)) for row in rows])
    return causal.Strangers(places, seen, alike, rng.randrange(200, 700), past, speeds)


def exact(batch: Batch, right: Tensor) -> dict[str, list[int]]:
    """Per family: for each answer 1 when all of its tokens were right, else 0."""
    wrong = torch.zeros(len(batch.families), dtype=torch.long)
    wrong.index_add_(0, right[0], 1 - right[1])
    found: dict[str, list[int]] = {}
    for family, misses in zip(batch.families, wrong.tolist(), strict=True):
        found.setdefault(family, []).append(int(misses == 0))
    return found


def draw_batch(mix: Mix, rng: random.Random, length: int, tokens: int) -> Batch:
    """As many rows of `length` as `tokens` allows."""
    rows = [mix.row(rng, length) for _ in range(max(1, tokens // length))]
    return collate(rows, length, mix.tokenizer.pad_token_id)


def run(
    config: Config, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, mix: Mix, *, out: Path, log: Log
) -> LlamaForCausalLM:
    """Train `model`; keep a resumable state in `out/state.pt`, and in `out/model` the averaged model it returns."""
    torch.set_num_threads(config.threads)
    out.mkdir(parents=True, exist_ok=True)
    model.set_attn_implementation(causal.register())
    optimiser = _optimiser(model, config)
    now = Run(model, copy.deepcopy(model), optimiser)
    resume(out / "state.pt", now)
    state = now.state
    saved = last = time.monotonic()
    while state.stage < len(config.stages) and state.step != config.steps:
        stage = config.stages[state.stage]
        rng = random.Random(f"{config.seed}-{state.step}")
        length = stage.length if rng.random() > config.shorter else max(128, stage.length // rng.choice((2, 4)))
        rate = _step(config, now, draw_batch(mix, rng, length, config.tokens), log)
        clock = time.monotonic()
        state.in_stage, last = state.in_stage + clock - last, clock
        if state.step % 20 == 0:
            log(_line(state, stage, rate))
        if _left(config, state, stage):
            state.stage, state.in_stage = state.stage + 1, 0.0
            log(f"next stage: {state.stage}")
        if clock - saved > config.save_every:
            saved = clock
            checkpoint(out, now, tokenizer)
    checkpoint(out, now, tokenizer)
    now.average.set_attn_implementation("sdpa")
    return now.average


def _optimiser(model: LlamaForCausalLM, config: Config) -> torch.optim.AdamW:
    """AdamW that leaves be what has next to no gradient: heads at rest would drift by noise of full size otherwise."""
    queries = [value for name, value in model.named_parameters() if "q_proj" in name]
    others = [value for name, value in model.named_parameters() if "q_proj" not in name]
    groups = [{"params": queries, "share": config.matching}, {"params": others, "share": 1.0}]
    return torch.optim.AdamW(groups, lr=config.stages[0].rate, betas=(0.9, 0.98), weight_decay=0.0, eps=1e-6)


def _step(config: Config, now: Run, batch: Batch, log: Log) -> float:
    state, model, optimiser = now.state, now.model, now.optimiser
    rate = _rate(config, state)
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
    among = (
        strangers(batch, state.step, now.past, now.model.model.rotary_emb.inv_freq)
        if random.Random(state.step).random() < config.stages[state.stage].strangers
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
    state.scores["loss"] = 0.95 * state.scores.get("loss", loss.item()) + 0.05 * loss.item()
    return rate


def _rate(config: Config, state: State) -> float:
    """Warm-up, then the stage's rate, with a linear decay over the last part of the last stage's time."""
    stage = config.stages[state.stage]
    rate = stage.rate * min(1.0, (state.step + 1) / config.warmup)
    if state.stage == len(config.stages) - 1:
        left = 1.0 - state.in_stage / stage.seconds
        rate *= max(0.02, min(1.0, left / config.decay))
    return rate


def _left(config: Config, state: State, stage: Stage) -> bool:
    if state.in_stage > stage.seconds:
        return True
    last = state.stage == len(config.stages) - 1
    known = [score for family, score in state.scores.items() if family != "loss"]
    return not last and state.in_stage > 30 and len(known) >= len(config.shares) and min(known) >= stage.mastery


def _line(state: State, stage: Stage, rate: float) -> str:
    scores = " ".join(f"{family}={score:.2f}" for family, score in sorted(state.scores.items()))
    return f"step {state.step} {state.seen / 1e6:.2f}M len {stage.length} {state.in_stage:.0f}s lr {rate:.1e} {scores}"
