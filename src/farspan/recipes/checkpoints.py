"""What a training run leaves on disk: a state to resume from and a folder to load, each written whole or not at all."""

from __future__ import annotations

import copy
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.recipes.causal import Past


@dataclass(slots=True)
class State:
    """Where a run stands: what a checkpoint holds besides weights and optimiser."""

    step: int = 0
    seen: int = 0
    stage: int = 0
    in_stage: float = 0.0
    averaged: int = 0
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """All that changes while training: the weights, their running average, the optimiser, and where the run stands."""

    model: LlamaForCausalLM
    average: LlamaForCausalLM
    optimiser: torch.optim.Optimizer
    state: State = field(default_factory=State)
    past: Past = field(default_factory=Past)

    def follow(self, weight: float) -> None:
        """Move the average towards the weights by `weight`; in the first steps it is their plain mean."""
        weight = max(weight, 1.0 / (self.state.averaged + 1))
        self.state.averaged += 1
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.model.parameters(), strict=True):
                slow.lerp_(fast, weight)


def checkpoint(out: Path, run: Run, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the run's state, and its averaged weights as a model to load, each complete or not at all."""
    new = out / "state.pt.new"
    parts = {name: getattr(run, name).state_dict() for name in ("model", "average", "optimiser")}
    torch.save({**parts, "state": asdict(run.state)}, new)
    os.replace(new, out / "state.pt")
    save_model(out / "model", run.average, tokenizer)


def save_model(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a Hugging Face folder beside `folder`, then swap it in: stored in bfloat16, to be loaded in float32."""
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    stored = copy.deepcopy(model).bfloat16()
    stored.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    stored.save_pretrained(new)
    stored.config.dtype = torch.float32
    stored.config.save_pretrained(new)
    tokenizer.save_pretrained(new, save_jinja_files=False)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def resume(path: Path, run: Run) -> None:
    """Load what `checkpoint` wrote; a path that does not exist leaves the run as it is, at its start."""
    if not path.exists():
        return
    saved = torch.load(path, weights_only=True)
    for name in ("model", "average", "optimiser"):
        getattr(run, name).load_state_dict(saved[name])
    run.state = State(**saved["state"])
