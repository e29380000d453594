"""What a run goes on from: a tokenizer in a folder, and a model whose configuration is looked at before its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan.errors import InputError, UsageError
from farspan.folders import replacing
from farspan.recipes.holding import room_on_disk
from farspan.recipes.shapes import Shape
from farspan.recipes.tokenizer import MARKERS

FIX = "give a folder that this recipe wrote"
_OF_SHAPE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
    "rope_parameters",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
)


def tokenizer_in(folder: Path, *, fix: str = FIX) -> PreTrainedTokenizerFast:
    """The tokenizer that lies there. Raises InputError when it cannot be read, or lacks the markers of a dialogue."""
    try:
        found = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise InputError(f"no tokenizer can be read in {folder}: {_first_line(error)}", fix=fix) from error
    assert isinstance(found, PreTrainedTokenizerFast)
    vocabulary = found.get_vocab()
    if [vocabulary.get(marker) for marker in MARKERS] != list(range(len(MARKERS))):
        raise InputError(f"the first tokens of the tokenizer in {folder} are not {' '.join(MARKERS)}", fix=fix)
    return found


def keep_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write it there, all of it or nothing. Raises UsageError where another one lies there already."""
    if not folder.exists():
        with room_on_disk(folder.parent), replacing(folder) as fresh:
            tokenizer.save_pretrained(fresh)
    elif digest(tokenizer_in(folder)) != digest(tokenizer):
        raise UsageError(f"{folder} holds another tokenizer", fix="give another folder with -o, or move it away")


def digest(tokenizer: PreTrainedTokenizerFast) -> str:
    """A few letters that tell one tokenizer from another."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()[:12]


def model_in(folder: Path, shape: Shape) -> LlamaForCausalLM:
    """The model that lies there, in float32. Raises InputError, before any weight is made, unless it has that shape."""
    if not (folder / "config.json").is_file():
        raise InputError(f"start={folder} is no model folder: no config.json", fix=FIX)
    try:
        _check(folder, shape)
        model, told = LlamaForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"start={folder} cannot be read: {_first_line(error)}", fix=FIX) from error
    odd = sorted({*told["missing_keys"], *told["unexpected_keys"]})
    if odd:
        raise InputError(f"start={folder} lacks weights, or has others: {odd[0]}", fix=FIX)
    assert isinstance(model, LlamaForCausalLM)
    return model


def _check(folder: Path, shape: Shape) -> None:
    told, _ = LlamaConfig.get_config_dict(folder, local_files_only=True)
    if told.get("model_type") != "llama":
        raise InputError(f"start={folder} is a model of type {told.get('model_type')}, not llama", fix=FIX)
    has = LlamaConfig.from_dict(told)
    wanted = shape.config(len(tokenizer_in(folder)))
    for name in ("vocab_size", *_OF_SHAPE):
        if getattr(has, name) != getattr(wanted, name):
            raise InputError(
                f"start={folder} has {name} {_short(getattr(has, name))}, and this recipe trains"
                f" {_short(getattr(wanted, name))}",
                fix=FIX,
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
