"""Models load from a folder, and what is no model is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, T5Config

from farspan.attention.adapter import host, load_pretrained
from farspan.errors import ModelError
from tests.attention.families import build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder."""
    build("Llama").save_pretrained(tmp_path)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_loads(folder: Path, kind: Any) -> None:
    model, tokenizer = load_pretrained(kind(folder))
    assert not model.training and model.dtype == torch.float32
    assert tokenizer.is_fast
    assert host(model).window == 256
    model, _ = load_pretrained(folder, dtype=torch.bfloat16, device="cpu")
    assert model.dtype == torch.bfloat16


def config(folder: Path, **changes: Any) -> None:
    """Write other values into the folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def bad_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def unknown_type(folder: Path) -> None:
    config(folder, model_type="no-such-type")


def code_of_its_own(folder: Path) -> None:
    config(folder, model_type="no-such-type", auto_map={"AutoConfig": "configuration_x.XConfig"})


def encoder_decoder(folder: Path) -> None:
    T5Config().save_pretrained(folder)


def an_encoder(folder: Path) -> None:
    config(folder, model_type="vit")


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def a_weight_missing(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def truncated_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:9000])


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def empty_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


BROKEN = {
    no_config: "no config.json",
    bad_config: "cannot load the configuration",
    unknown_type: "no-such-type",
    code_of_its_own: "code of its own",
    encoder_decoder: "encoder-decoder",
    an_encoder: "no causal language model",
    no_weights: "no weights",
    a_weight_missing: "lacks 1 weights.*q_proj",
    truncated_weights: "cannot load the weights",
    no_tokenizer: "no tokenizer",
    empty_tokenizer: "tokenizer",
}


@pytest.mark.parametrize("damage", BROKEN, ids=lambda damage: damage.__name__)
def test_a_broken_folder_is_named(folder: Path, damage: Any) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=BROKEN[damage]) as caught:
        load_pretrained(folder)
    assert caught.value.fix
    assert "\n" not in str(caught.value)


def test_what_quantised_weights_need_is_to_be_installed(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"cannot load the weights.*requires") as caught:
        load_pretrained(folder)
    assert caught.value.fix.startswith("install that library")


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/no/where", Path("nowhere")])
def test_no_such_folder(name: Any) -> None:
    with pytest.raises(ModelError, match="there is no model folder"):
        load_pretrained(name)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="is a file, not a model folder"):
        load_pretrained(path)


def test_an_unknown_name_without_the_network() -> None:
    with pytest.raises(ModelError, match="'nobody/no-such-model'") as caught:
        load_pretrained("nobody/no-such-model")
    assert "network" in caught.value.fix
    assert "\n" not in str(caught.value)
