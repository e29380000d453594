"""Load a causal language model and its tokenizer from a local folder or the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from farspan.errors import ModelError

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_LAYOUT = "a model folder has config.json, *.safetensors and tokenizer.json; save one with save_pretrained"


def load_pretrained(
    path_or_name: str | Path, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> tuple[Any, Any]:
    """The model in eval mode, and its fast tokenizer. `dtype` None is the checkpoint's own; `device` None is the CPU.

    Raises ModelError when the folder or name is no complete causal language model that transformers itself can run.
    """
    name = _place(path_or_name)
    if Path(name).exists():
        _check_weights(Path(name))
    load_config(name)
    tokenizer = _ask(name, AutoTokenizer)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"{name!r} has no fast tokenizer", fix="save it once with a tokenizer.json")
    model, report = _ask(name, AutoModelForCausalLM, dtype=dtype or "auto", output_loading_info=True)
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{name!r} lacks {len(missing)} weights, such as {missing[0]}", fix="fetch the model again")
    return model.to(device or "cpu").eval(), tokenizer


def load_config(path_or_name: str | Path) -> Any:
    """The configuration alone. Raises ModelError where it is missing, damaged, or not one of a decoder."""
    name = _place(path_or_name)
    config = _ask(name, AutoConfig)
    _check_config(name, config)
    return config


def _place(path_or_name: str | Path) -> str:
    """The folder of a model, or its name on the Hub where no folder can be meant."""
    name = str(path_or_name)
    folder = Path(name).expanduser()
    if not folder.exists():
        if name.startswith((".", "/", "~")) or isinstance(path_or_name, Path):
            raise ModelError(f"there is no model folder {name!r}", fix="check the path")
        return name
    if not folder.is_dir():
        raise ModelError(f"{str(folder)!r} is a file, not a model folder", fix=_LAYOUT)
    if not (folder / "config.json").is_file():
        raise ModelError(f"the folder {str(folder)!r} has no config.json", fix=_LAYOUT)
    return str(folder)


def _check_weights(folder: Path) -> None:
    if not any(any(folder.glob(pattern)) for pattern in _WEIGHTS):
        raise ModelError(f"the folder {str(folder)!r} has no weights", fix=_LAYOUT)
    if not any(folder.glob("tokenizer*")):
        raise ModelError(f"the folder {str(folder)!r} has no tokenizer", fix=_LAYOUT)


def _check_config(name: str, config: Any) -> None:
    fix = "use a decoder such as Llama, Qwen, Mistral, Gemma, Phi or SmolLM3"
    kind = config.model_type
    if config.is_encoder_decoder:
        raise ModelError(f"{name!r} ({kind}) is an encoder-decoder, and farspan hosts decoders only", fix=fix)
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ModelError(f"{name!r} ({kind}) is no causal language model", fix=fix)


def _ask(name: str, auto: Any, **options: Any) -> Any:
    """`auto.from_pretrained`, with whatever goes wrong told in one line."""
    try:
        return auto.from_pretrained(name, trust_remote_code=False, **options)
    except Exception as error:
        what = {AutoConfig: "configuration", AutoTokenizer: "tokenizer"}.get(auto, "weights")
        raise ModelError(f"cannot load the {what} of {name!r}: {_reason(error)}", fix=_fix(name, error)) from error


def _reason(error: Exception) -> str:
    text = str(error).strip()
    if "trust_remote_code" in text:
        return "it brings code of its own, which farspan does not run"
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _fix(name: str, error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "use a model that transformers knows by itself"
    if isinstance(error, ImportError):
        return "install that library beside farspan: the weights were quantised by it"
    if Path(name).exists():
        return f"fetch or save it again: {_LAYOUT}"
    return "check the name, the network, and for a gated model `hf auth login`; or give a local folder, or farspan-tiny"
