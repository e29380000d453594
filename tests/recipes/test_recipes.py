"""The recipes: tokenizer, batches, constructed weights and the loop, at a size that takes seconds."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from farspan import models, recipes, tasks
from farspan.errors import InputError, UsageError
from farspan.recipes import corpus, initialise, layout, losses, shapes, tiny, tokenizer, train, trainable
from farspan.recipes.checkpoints import save_model
from farspan.recipes.mix import Mix
from farspan.recipes.rows import IGNORE, collate
from farspan.recipes.tiny import SHARES
from farspan.tasks.kit import words

pytestmark = pytest.mark.xdist_group("recipes")  # one tokenizer is trained for all
LONG = train.Stage(length=128, seconds=1e9, mastery=2.0)
PROSE = "He said, \u201cThe harvest is late\u201d; and nobody in the whole of the village could tell why. " * 200


@pytest.fixture(scope="module")
def small_tokenizer() -> PreTrainedTokenizerFast:
    return tokenizer.train([PROSE], size=3400)


@pytest.fixture(scope="module")
def mix(small_tokenizer: PreTrainedTokenizerFast) -> Mix:
    return Mix(small_tokenizer, [PROSE], SHARES)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80))
def test_tokenizer_round_trip(small_tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = small_tokenizer.encode(text, add_special_tokens=False)
    assert small_tokenizer.decode(ids) == text


def test_words_of_the_tasks_are_single_tokens(mix: Mix) -> None:
    for word in (*words.ADJECTIVES, *words.NOUNS, *words.FIRST_NAMES, *words.LAST_NAMES):
        assert mix.count(f" {word}") == 1
    assert mix.count("48213") == 2


def test_a_quote_is_cut_the_same_in_the_document_and_in_quotation_marks(mix: Mix) -> None:
    inside = mix.encode('"in the whole, of the village."')
    assert mix.encode(" in the whole, of the village.")[1:] == inside[2:-1]


def test_chat_template_puts_one_marker_after_the_question(small_tokenizer: PreTrainedTokenizerFast) -> None:
    turns = [{"role": "user", "content": "Q"}]
    assert small_tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) == (
        "<|begin|>Q<|assistant|>"
    )
    turns += [{"role": "assistant", "content": " A"}, {"role": "user", "content": "R"}]
    assert small_tokenizer.apply_chat_template(turns, tokenize=False) == "<|begin|>Q<|assistant|> A<|end|><|user|>R"


@pytest.mark.parametrize("family", SHARES)
@pytest.mark.parametrize("length", [128, 512])
def test_rows_fit_and_label_their_answers(mix: Mix, family: str, length: int) -> None:
    for seed in range(8):
        row = mix.row(random.Random(seed), length, family)
        assert len(row.ids) == len(row.labels) <= length + 1
        for start, end in row.answers:
            assert row.labels[start:end] == row.ids[start:end]
        labelled = sum(label >= 0 for label in row.labels)
        assert labelled == sum(end - start for start, end in row.answers)


def test_questions_are_trained_in_the_forms_of_the_bundled_model(mix: Mix) -> None:
    for family, asked, told in (
        ("variables", "What is the chain of", r" \w+( = \w+)+ = \d{5}"),
        ("niah_single_2", "What is the number of", r" \d{5}"),
    ):
        row = mix.row(random.Random(1), 512, family)
        assert asked in mix.tokenizer.decode(row.ids)
        answers = [mix.tokenizer.decode(row.ids[start : end - 1]) for start, end in row.answers]
        assert answers and all(re.fullmatch(told, answer) for answer in answers), answers


def test_batches_shift_labels_by_one(mix: Mix) -> None:
    rows = [mix.row(random.Random(seed), 128, "needle") for seed in range(4)]
    batch = collate(rows, 128, pad=3)
    assert batch.ids.shape == batch.labels.shape == (4, 128)
    start, end = rows[0].answers[0]
    assert batch.labels[0, start - 1 : end - 1].tolist() == rows[0].ids[start:end]
    assert (batch.labels[0, : start - 1] < 0).all()
    assert IGNORE in batch.labels


def _model(mix: Mix, seed: int = 0) -> LlamaForCausalLM:
    marks = layout.Marks(begin=0, answer=2, space=mix.encode(" ")[0], quote=mix.encode('"')[0])
    return initialise.model(shapes.Shape(), marks, tokenizer.spellings(mix.tokenizer), seed=seed)


def test_the_constructed_model_copies_before_any_training(mix: Mix) -> None:
    model, rng = _model(mix).eval(), random.Random(0)
    right = total = 0
    for _ in range(6):
        body = [rng.randrange(4, len(mix.tokenizer)) for _ in range(80)]
        ids = torch.tensor([[0, *body, *body[20:50]]])
        with torch.no_grad():
            logits = model(ids).logits[0]
        best = logits.topk(2, dim=-1).indices[-20:-1]
        right += sum(want in pair for want, pair in zip(body[31:50], best.tolist(), strict=True))
        total += 19
    assert right / total > 0.5


def test_a_few_steps_lower_the_loss(mix: Mix, tmp_path: Path) -> None:
    stage = LONG
    model = _model(mix)
    batch = train.draw_batch(mix, random.Random(1), 128, 2048)
    before, _ = losses.loss_of(model, batch, 0.1)
    few = train.Config(shares=SHARES, stages=(stage,), tokens=1024, threads=1, warmup=2, steps=12)
    train.run(few, model, mix.tokenizer, mix, out=tmp_path, log=lambda line: None)
    after, _ = losses.loss_of(model, batch, 0.1)
    assert after.item() < before.item() - 0.3
    more = replace(few, steps=14)
    resumed = train.run(more, _model(mix, seed=1), mix.tokenizer, mix, out=tmp_path, log=lambda line: None)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["state"]["step"] == 14
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded.lm_head.weight, resumed.lm_head.weight.bfloat16().float())
    words_back = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert words_back.decode(words_back.encode("a b", add_special_tokens=False)) == "a b"


def test_what_tokens_are_matched_by_is_not_trained(mix: Mix, tmp_path: Path) -> None:
    shape = shapes.Shape()
    before, model = _model(mix), _model(mix)
    share = trainable.shares(shape)
    few = train.Config(shares=SHARES, stages=(LONG,), tokens=512, threads=1, steps=2, trained=share)
    train.run(few, model, mix.tokenizer, mix, out=tmp_path, log=lambda line: None)
    after = dict(model.named_parameters())
    for name, weight in before.named_parameters():
        may = share.get(name, torch.ones(())).expand_as(weight).bool()
        assert torch.equal(after[name][~may], weight[~may]), name
        assert not may.any() or not torch.equal(after[name][may], weight[may]), name
    lay = layout.Layout(shape.width, shape.code)
    for layer in model.model.layers[2:]:  # what later layers write leaves the constant and the slots as they are
        assert not layer.self_attn.o_proj.weight[lay.token :].any()
        assert not layer.mlp.down_proj.weight[lay.token :].any()


def test_tangled_quotes_still_stand_once_with_their_answer(mix: Mix) -> None:
    changed = 0
    for seed in range(12):
        plain, tangled = (mix._quotes(random.Random(seed), room, 3, tangled=room == 600) for room in (400, 600))
        changed += tangled.document != plain.document
        for turn in tangled.turns:
            quote = turn.query.split('"', 1)[1][:-1]
            assert tangled.document.count(quote) == tangled.document.count(quote + turn.answer) == 1
    assert changed


def test_most_random_quotes_are_among_altered_copies_of_passages(mix: Mix) -> None:
    rows = [mix.row(random.Random(seed), 512, "random_quotes") for seed in range(20)]
    bodies = [row.ids[: row.answers[0][0]] for row in rows]
    repeats = [len(body) - 1 - len(set(itertools.pairwise(body))) for body in bodies]
    assert 6 <= sum(number > 20 for number in repeats) <= 18


def test_recipes_are_found_and_described() -> None:
    assert recipes.names() == ["tiny"]
    assert "farspan train tiny" in recipes.describe("tiny")


@pytest.mark.parametrize(("name", "overrides"), [("tinny", {}), ("tiny", {"corpse": "x"}), ("tiny", {"hours": "x"})])
def test_unknown_recipe_or_setting_is_named(name: str, overrides: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        recipes.run(name, out=tmp_path, overrides=overrides, log=lambda line: None)


def test_every_trained_family_is_a_task_or_a_drill() -> None:
    drills = {"random_quotes", "copy", "tangled_quotes"}
    for name in set(SHARES) - drills:
        assert tasks.get(name).make is not None


def test_the_bundled_model_has_the_default_shape() -> None:
    bundled = AutoConfig.from_pretrained(Path(models.__path__[0]) / "tiny")
    made = shapes.Shape().config(bundled.vocab_size)
    for name in (
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "rope_parameters",
    ):
        assert getattr(made, name) == getattr(bundled, name)
    assert made.max_position_embeddings == bundled.max_position_embeddings


@pytest.fixture
def prose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "texts", lambda folder: [PROSE])


@pytest.mark.usefixtures("prose")
def test_a_run_starts_from_a_model_folder(mix: Mix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_model(tmp_path / "first", _model(mix), mix.tokenizer)
    monkeypatch.setattr(tiny, "config", lambda **_: train.Config(shares=SHARES, stages=(LONG,), steps=0))
    overrides = {"start": str(tmp_path / "first")}
    recipes.run("tiny", out=tmp_path / "second", overrides=overrides, log=lambda line: None)
    first, second = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("first", "second/model"))
    assert torch.equal(first.lm_head.weight, second.lm_head.weight)
    assert (tmp_path / "first" / "model.safetensors").stat().st_size < 2.1 * _model(mix).num_parameters()


@pytest.mark.usefixtures("prose")
def test_a_missing_start_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        recipes.run("tiny", out=tmp_path, overrides={"start": "nowhere"}, log=lambda line: None)
