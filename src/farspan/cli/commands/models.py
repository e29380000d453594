"""`farspan models`: which models are on this machine, and what one needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import farspan
from farspan.cli import show
from farspan.cli.groups import DefaultGroup
from farspan.cli.options import debug_option, json_option
from farspan.errors import ModelError
from farspan.types import format_bytes

BUNDLED = "farspan-tiny"


@click.group("models", cls=DefaultGroup, default="list")
def command() -> None:
    """List models, and show whether farspan can host one."""


@command.command("list")
@json_option
@debug_option
def list_(as_json: bool) -> None:
    """List the bundled model and those in the model cache (the default)."""
    rows = [_row(name) for name in [BUNDLED, *_cached()]]
    if as_json:
        show.as_json({"models": rows})
        return
    show.table(
        ("model", "window", "KV per token", "hosted"),
        [
            (
                row["name"],
                f"{row['window']:,}" if row["hosted"] else "-",
                format_bytes(row["kv_bytes_per_token"]) if row["hosted"] else "-",
                "yes" if row["hosted"] else f"no: {row['reason']}",
            )
            for row in rows
        ],
    )


@command.command("show")
@click.argument("name", default=BUNDLED)
@json_option
@debug_option
def show_(name: str, as_json: bool) -> None:
    """Show one model, a folder or Hub name: its window, layers, KV bytes per token, and whether it is hosted.

    Its configuration is enough for that; the weights are not loaded.
    """
    row = _row(name)
    if not row["hosted"]:
        raise ModelError(f"farspan cannot host {name}: {row['reason']}", fix=row["fix"] or "choose another model")
    if as_json:
        show.as_json(row)
        return
    for key, value in row.items():
        click.echo(f"{key.replace('_', ' ')}: {value}")


def _cached() -> list[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    folders = sorted(Path(HF_HUB_CACHE).glob("models--*"))
    return [folder.name.removeprefix("models--").replace("--", "/") for folder in folders]


def _row(name: str) -> dict[str, Any]:
    try:
        return {"name": name, "hosted": True, **_facts(name)}
    except ModelError as error:
        return {"name": name, "hosted": False, "reason": error.message, "fix": error.fix}


def _facts(name: str) -> dict[str, Any]:
    """What the configuration says. Raises ModelError with the reason when farspan cannot host such a model."""
    import torch
    from transformers import AutoModelForCausalLM

    from farspan.attention.adapter import refuse, window_of
    from farspan.attention.loading import load_config

    config = load_config(Path(farspan.__file__).parent / "models" / "tiny" if name == BUNDLED else name)
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(first, fix="choose another model, or mend its config.json") from error
    refuse(model)
    config = config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    dtype = config.dtype or torch.float32
    return {
        "family": config.model_type,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "dtype": str(dtype).removeprefix("torch."),
        "window": window_of(config),
        "layers": config.num_hidden_layers,
        "kv_heads": heads,
        "head_dim": width,
        "kv_bytes_per_token": 2 * config.num_hidden_layers * heads * width * dtype.itemsize,
    }
