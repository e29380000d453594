"""What a training run leaves on disk: a state to resume from and a folder to load, each written whole or not at all."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast


@dataclass(slots=True)
class State:
    """Where a run stands: what a checkpoint holds besides weights and optimiser."""

    step: int = 0
    seen: int = 0
    stage: int = 0
    in_stage: float = 0.0
    scores: dict[str, float] = field(default_factory=dict)


def checkpoint(
    out: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    optimiser: torch.optim.Optimizer,
    state: State,
) -> None:
    """Write the run's state and the model, each complete or not at all."""
    new = out / "state.pt.new"
    torch.save({"model": model.state_dict(), "optimiser": optimiser.state_dict(), "state": asdict(state)}, new)
    os.replace(new, out / "state.pt")
    save_model(out / "model", model, tokenizer)


def save_model(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a Hugging Face folder beside `folder`, then swap it in."""
    new, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(new)
    tokenizer.save_pretrained(new)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def resume(path: Path, model: LlamaForCausalLM, optimiser: torch.optim.Optimizer) -> State:
    """Load the state that `checkpoint` wrote into model and optimiser; a fresh State when there is none."""
    if not path.exists():
        return State()
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimiser.load_state_dict(saved["optimiser"])
    return State(**saved["state"])
