"""What a step is judged by: the loss of a batch, which answers were right, and which queries see other texts."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from farspan.attention.processor import lacks_products
from farspan.recipes import causal
from farspan.recipes.rows import RUNNING, Batch


def loss_of(
    model: LlamaForCausalLM, batch: Batch, running_text: float, strangers: causal.Strangers | None = None
) -> tuple[Tensor, Tensor]:
    """The loss, and for each label of an answer whether the most likely token was right (rows: owner, right).

    A batch in which nothing is asked has the loss of its running text alone. Products are made in bfloat16 where the
    processor is fast at them, else in float32.
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
    loss = losses[of_answer].mean() if of_answer.any() else losses[of_answer].sum()
    if text.any():
        loss = loss + running_text * losses[~of_answer].mean()
    right = logits[of_answer].argmax(-1) == labels[of_answer]
    return loss, torch.stack((batch.owner[chosen][of_answer], right.long()))


def strangers(batch: Batch, draw: int, past: causal.Past, speeds: Tensor, amount: int = 192) -> causal.Strangers:
    """Some `amount` of asked places see all other texts; not so in variables, whose few names would mean two things.

    `draw` is what the places are drawn by.
    """
    alike = torch.tensor([text == "variables" for text in batch.texts])
    seen = ~(torch.eye(len(batch.texts), dtype=torch.bool) | (alike[:, None] & alike[None, :]))
    rng = random.Random(f"strangers-{draw}")
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
