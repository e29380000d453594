"""What a training run leaves on disk: a state to resume from and a folder to load, each written whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.errors import InputError, UsageError
from farspan.folders import replacing
from farspan.recipes.causal import Past
from farspan.recipes.holding import MODEL, STATE, room_on_disk

PARTS = ("model", "average", "optimiser", "past")


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
    """All that changes while training: the weights, their running average, the optimiser, and where the run stands.

    `begun_with` does not change: what the run was asked for, by name.
    """

    model: LlamaForCausalLM
    average: LlamaForCausalLM
    optimiser: torch.optim.Optimizer
    begun_with: Mapping[str, str]
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
    """Write the run's state, and its averaged weights as a model to load, each complete or not at all.

    Raises StorageFull, and then what was saved before still stands.
    """
    saved: dict[str, Any] = {name: getattr(run, name).state_dict() for name in PARTS}
    saved |= {"state": asdict(run.state), "begun_with": dict(run.begun_with), "random": torch.get_rng_state()}
    with room_on_disk(out), replacing(out / STATE) as fresh, fresh.open("wb") as file:
        torch.save(saved, file)
    save_model(out / MODEL, run.average, tokenizer)


def save_model(folder: Path, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write a Hugging Face folder beside `folder`, then swap it in: stored in bfloat16, to be loaded in float32."""
    stored = copy.deepcopy(model).bfloat16()
    stored.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    with room_on_disk(folder.parent), replacing(folder) as fresh:
        stored.save_pretrained(fresh)
        stored.config.dtype = torch.float32
        stored.config.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh, save_jinja_files=False)


def resume(out: Path, run: Run) -> bool:
    """Load what `checkpoint` wrote, and say whether there was any; if not, the run stays as it is, at its start.

    Raises UsageError when that run was begun with other settings, InputError when the file cannot be read.
    """
    path = out / STATE
    if not path.exists():
        return False
    try:
        saved = torch.load(path, weights_only=True)
        begun_with = dict(saved["begun_with"])
    except Exception as error:
        raise _damaged(path, error) from error
    _agree(out, begun_with, run.begun_with)
    try:
        for name in PARTS:
            getattr(run, name).load_state_dict(saved[name])
        run.state = State(**saved["state"])
        torch.set_rng_state(saved["random"])
    except Exception as error:
        raise _damaged(path, error) from error
    return True


def _agree(out: Path, begun_with: Mapping[str, str], asked: Mapping[str, str]) -> None:
    for name in sorted({*begun_with, *asked}):
        was, now = (f"{name}={value[name]}" if name in value else f"no {name}" for value in (begun_with, asked))
        if was != now:
            raise UsageError(
                f"the run in {out} was begun with {was}, not with {now}",
                fix=f"give {was} again to go on with it, or another folder with -o",
            )


def _damaged(path: Path, error: Exception) -> InputError:
    """torch says in many ways that a file is not what it wrote."""
    told = str(error).strip().partition("\n")[0][:200]
    return InputError(
        f"{path} cannot be resumed from: it is damaged, or another version wrote it ({type(error).__name__}: {told})",
        fix="restore it from a copy, or give another folder with -o; "
        f"--set start={path.parent / MODEL} goes on from the weights that were saved last",
    )
