"""The folder of a run: nobody else's model is touched, one process writes, what is saved is whole, tokenizers stay."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan import recipes
from farspan.errors import InputError, StorageFull, UsageError
from farspan.recipes import corpus, starting, tiny, tokenizer, train
from farspan.recipes.checkpoints import Run, checkpoint, resume
from farspan.recipes.holding import held, room_on_disk
from tests.recipes.conftest import BUNDLED, FAMILIES

Make = Callable[[int], LlamaForCausalLM]
PROSE = "The harvest is late, and nobody in the whole of the village could tell why. " * 50


def a_run(make: Make, *, step: int = 0) -> Run:
    model, average = make(step), make(step + 1)
    run = Run(model, average, torch.optim.AdamW(model.parameters()), {"seed": "0"})
    run.state.step = step
    return run


def read(out: Path, make: Make) -> tuple[int, torch.Tensor]:
    """The step that the folder's state has, and a weight of the model beside it."""
    run = a_run(make)
    with held(out):
        assert resume(out, run)
    loaded = AutoModelForCausalLM.from_pretrained(out / "model")
    return run.state.step, loaded.lm_head.weight


@pytest.mark.parametrize("name", ["model", "model.new", "model.old"])
def test_a_model_of_another_origin_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "mine").touch()
    with pytest.raises(UsageError, match=rf"{name} is there already"), held(tmp_path):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == [name, "mine"]


def test_a_folder_that_cannot_be_held_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file cannot be made"), held(tmp_path / "file"):
        pass
    with (
        held(tmp_path),
        pytest.raises(UsageError, match="another process trains in"),
        held(tmp_path),
    ):
        pass
    with held(tmp_path):
        (tmp_path / "lock").unlink()
        (tmp_path / "lock").mkdir()
        with pytest.raises(UsageError, match="cannot be written to: Is a directory"), held(tmp_path):
            pass


def test_a_model_is_put_back_when_it_was_not_yet_replaced(tmp_path: Path) -> None:
    (tmp_path / "state.pt").touch()
    (tmp_path / "model.old").mkdir()
    with held(tmp_path):
        assert (tmp_path / "model").is_dir()


WRITES: list[tuple[Any, str, int]] = [
    (torch, "save", 0),
    (LlamaForCausalLM, "save_pretrained", 0),
    (PreTrainedTokenizerFast, "save_pretrained", 0),
    *((os, "fsync", number) for number in (0, 1, 2, 5)),
    *((Path, "rename", number) for number in (0, 1, 2)),
]


@pytest.mark.parametrize(("owner", "name", "number"), WRITES)
def test_a_fault_at_any_write_leaves_a_run_to_go_on_from(
    tmp_path: Path, make: Make, words: PreTrainedTokenizerFast, owner: Any, name: str, number: int
) -> None:
    checkpoint(tmp_path, a_run(make, step=3), words)
    _, before = read(tmp_path, make)
    usual, calls = getattr(owner, name), itertools.count()

    def full(*given: Any, **how: Any) -> Any:
        if next(calls) == number:
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(*given, **how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(StorageFull, match="takes no more"):
            checkpoint(tmp_path, a_run(make, step=5), words)
    assert not list(tmp_path.glob("*.new"))
    step, weight = read(tmp_path, make)
    assert step in (3, 5) and torch.equal(weight, before)
    checkpoint(tmp_path, a_run(make, step=5), words)
    step, weight = read(tmp_path, make)
    assert step == 5 and not torch.equal(weight, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "model", "state.pt"]


def test_a_limit_on_files_that_torch_tells_of_in_its_own_words_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(StorageFull), room_on_disk(tmp_path), Path("/dev/full").open("wb") as file:
        torch.save(torch.zeros(100_000), file)
    with pytest.raises(StorageFull), room_on_disk(tmp_path):
        try:
            raise OSError(errno.EFBIG, "File too large")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904
    with pytest.raises(RuntimeError, match="shapes"), room_on_disk(tmp_path):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 cut", b"no archive at all"])
def test_a_damaged_state_is_named(tmp_path: Path, make: Make, data: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(data)
    with pytest.raises(InputError, match=r"state\.pt cannot be resumed from.*restore it from a copy"):
        resume(tmp_path, a_run(make))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_a_state_that_was_cut_short_is_named(
    tmp_path: Path, make: Make, words: PreTrainedTokenizerFast, part: float
) -> None:
    checkpoint(tmp_path, a_run(make), words)
    state = tmp_path / "state.pt"
    os.truncate(state, int(state.stat().st_size * part))
    with pytest.raises(InputError, match=r"state\.pt cannot be resumed from"):
        resume(tmp_path, a_run(make))


def test_a_state_of_another_program_is_named(tmp_path: Path, make: Make) -> None:
    torch.save({"weights": torch.zeros(3)}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="another version wrote it"):
        resume(tmp_path, a_run(make))


class Recipe:
    """The recipe tiny with next to no prose and no steps, in one folder."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.lines: list[str] = []

    def run(self, **overrides: str) -> None:
        recipes.run("tiny", out=self.out, overrides=overrides, log=self.lines.append)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Its tokenizer is the bundled one, and takes no training."""
    stage = train.Stage(length=128, seconds=1e9, mastery=2.0)
    monkeypatch.setattr(corpus, "texts", lambda folder: [PROSE])
    monkeypatch.setattr(tiny, "config", lambda **_: train.Config(shares=FAMILIES, stages=(stage,), steps=0, threads=1))
    monkeypatch.setattr(tokenizer, "train", lambda pages: starting.tokenizer_in(BUNDLED))
    return Recipe(tmp_path / "run")


@pytest.fixture
def other(words: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    """A folder like the bundled model's, with another tokenizer of as many tokens."""
    folder = shutil.copytree(BUNDLED, tmp_path / "other")
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"dropout": null', '"dropout": 0.5'), encoding="utf-8")
    return folder


def test_a_run_keeps_its_tokenizer_and_what_it_was_begun_with(
    recipe: Recipe, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe.run(start=str(other))
    assert starting.digest(starting.tokenizer_in(recipe.out / "tokenizer")) == starting.digest(
        starting.tokenizer_in(other)
    )
    monkeypatch.setattr(tokenizer, "train", lambda pages: pytest.fail("trained another"))
    for asked, told in (
        ({}, f"begun with start={other}, not with no start"),
        ({"start": str(BUNDLED)}, f"start={other}, not with start={BUNDLED}"),
        ({"start": str(other), "seed": "1"}, "seed=0, not with seed=1"),
        ({"start": str(other), "hours": "2"}, "hours=0.583333, not with hours=2"),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            recipe.run(**asked)
    shutil.rmtree(other)
    (recipe.out / "model").rename(other)  # what was saved last is no longer needed, nor is what it began with
    recipe.run(start=str(other))
    assert "this run is finished: 0 steps" in recipe.lines[-1]


def test_a_run_whose_tokenizer_is_gone_or_changed_is_not_gone_on_with(recipe: Recipe, other: Path) -> None:
    recipe.run()
    assert recipe.lines[0].startswith("training the tokenizer on 1 texts")
    kept = recipe.out / "tokenizer"
    shutil.copy(other / "tokenizer.json", kept)
    with pytest.raises(UsageError, match="begun with tokenizer="):
        recipe.run()
    shutil.rmtree(kept)
    with pytest.raises(InputError, match=r"no tokenizer can be read in .*copy its files from .*model"):
        recipe.run()
    shutil.copytree(recipe.out / "model", kept)
    recipe.run()


def test_a_tokenizer_is_written_whole_or_not_at_all(recipe: Recipe, other: Path) -> None:
    def cut_short(self: PreTrainedTokenizerFast, folder: Path) -> None:
        folder.mkdir()
        (folder / "tokenizer.json").write_text("{")
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(PreTrainedTokenizerFast, "save_pretrained", cut_short)
        recipe.run()
    assert [path.name for path in recipe.out.iterdir()] == ["lock"]
    shutil.copytree(other, recipe.out / "tokenizer")
    with pytest.raises(UsageError, match="tokenizer holds another tokenizer"):
        recipe.run(start=str(BUNDLED))
    (recipe.out / "tokenizer" / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match=r"no tokenizer can be read in .*remove that folder"):
        recipe.run()


def test_a_start_that_the_recipe_cannot_train_is_refused_before_a_weight_is_made(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("made weights"))
    bundled = json.loads((BUNDLED / "config.json").read_text())
    for changed, told in (
        ({"model_type": "gpt2"}, "is a model of type gpt2, not llama"),
        ({"hidden_size": 4096}, "has hidden_size 4096, and this recipe trains 320"),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, "has rope_parameters"),
        ({"tie_word_embeddings": False}, "has tie_word_embeddings False"),
        ({"vocab_size": 32_000}, "has vocab_size 32000"),
    ):
        start = shutil.copytree(BUNDLED, tmp_path / told[-8:])
        (start / "config.json").write_text(json.dumps(bundled | changed))
        with pytest.raises(InputError, match=told):
            recipe.run(start=str(start))
    start = shutil.copytree(BUNDLED, tmp_path / "unmarked")
    path = start / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<|user|>", "<|human|>"), encoding="utf-8")
    with pytest.raises(InputError, match="the first tokens of the tokenizer"):
        recipe.run(start=str(start))
    (start / "config.json").write_text("{")
    with pytest.raises(InputError, match="unmarked cannot be read"):
        recipe.run(start=str(start))


def test_a_start_without_its_weights_is_refused(recipe: Recipe, tmp_path: Path) -> None:
    start = shutil.copytree(BUNDLED, tmp_path / "start")
    weights = load_file(start / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, start / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights, or has others: model\.norm\.weight"):
        recipe.run(start=str(start))
    (start / "model.safetensors").unlink()
    with pytest.raises(InputError, match="start cannot be read"):
        recipe.run(start=str(start))


@pytest.mark.parametrize(
    "setting", "hours=nan hours=0 hours=-1 hours=inf seed=1.5 seed=-1 threads=0 threads=-2 threads=two".split()
)
def test_settings_are_checked(recipe: Recipe, setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(UsageError, match=rf"^{setting} is no "):
        recipe.run(**{name: value})
    assert not recipe.out.exists()
