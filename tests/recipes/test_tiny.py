"""The recipe tiny: its tokenizer stays, it goes on as what it was begun as, and begins with what it can train alone."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from farspan import recipes
from farspan.errors import InputError, UsageError
from farspan.recipes import corpus, starting, tiny, tokenizer, train
from tests.recipes.conftest import BUNDLED, FAMILIES

PROSE = "The harvest is late, and nobody in the whole of the village could tell why. " * 50


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


def test_settings_are_handed_to_the_run(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, given = tiny.config, []
    monkeypatch.setattr(tiny, "config", lambda **how: given.append(how) or usual(**how))
    recipe.run(seed="3", threads="1", hours=str(2 * tiny.HOURS))
    assert given == [{"seed": 3, "threads": 1, "scale": 2.0}]


@pytest.mark.parametrize(
    "setting", "hours=nan hours=0 hours=-1 hours=inf seed=1.5 seed=-1 threads=0 threads=99999 threads=two".split()
)
def test_settings_are_checked(recipe: Recipe, setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(UsageError, match=rf"^{setting} is no "):
        recipe.run(**{name: value})
    assert not recipe.out.exists()
