"""A hosted model gives the logits that the same weights give in transformers, and is left as it was."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedModel

from farspan.attention.adapter import HostedModel, host
from tests.attention.families import FAMILIES, SLIDING, VOCABULARY, WINDOW, build, rope
from tests.attention.reference import Reference, read
from tests.tiny import other_defaults

TOKENS = 110


@pytest.fixture(scope="module")
def ids_T() -> Tensor:
    """A text of random tokens."""
    return torch.randint(3, VOCABULARY, (TOKENS,), generator=torch.Generator().manual_seed(7))


@torch.no_grad()
def eager(model: PreTrainedModel, ids_T: Tensor) -> Tensor:
    """What transformers' own attention gives."""
    model.set_attn_implementation("eager")
    return model(input_ids=ids_T[None], use_cache=False).logits[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_equal_eager_at_every_chunk_size(family: str, ids_T: Tensor) -> None:
    model = FAMILIES[family]()
    wanted = eager(model, ids_T)
    hosted = host(model)
    for chunk in (1, 7, 64, TOKENS):
        difference = (read(hosted, ids_T, chunk) - wanted).abs().max().item()
        assert difference <= 1e-5, f"chunks of {chunk}: {difference}"


@pytest.mark.parametrize("family", FAMILIES)
def test_positions_matter_to_every_family(family: str, ids_T: Tensor) -> None:
    """The comparison above has teeth: without its rotations the model's logits are others."""
    hosted = host(FAMILIES[family]())
    wanted = read(hosted, ids_T, TOKENS)
    hosted.rope = lambda index, length: None  # type: ignore[method-assign]
    assert (read(hosted, ids_T, TOKENS) - wanted).abs().max() > 0.05


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_as_near_as_bfloat16_is(family: str, ids_T: Tensor) -> None:
    exact = eager(FAMILIES[family](), ids_T)
    model = FAMILIES[family]().to(torch.bfloat16)
    rounded = eager(model, ids_T).float()
    ours = read(host(model), ids_T, 32)
    assert ours.dtype == torch.bfloat16
    assert ours.isfinite().all()
    # Rounding itself moves the logits; ours may not be further from the exact ones than transformers' own.
    assert (ours.float() - exact).norm() <= 1.25 * (rounded - exact).norm()


def stream(hosted: HostedModel, ids_T: Tensor) -> list[Tensor]:
    """The last token's logits after every token, read one by one."""
    handlers = [Reference(hosted, fact.index) for fact in hosted.facts]
    steps = [hosted.forward(ids_T[i : i + 1], i, handlers, "last") for i in range(len(ids_T))]
    return [step[0] for step in steps if step is not None]


LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "original_max_position_embeddings": 48,
}
CHANGING = {
    "dynamic": {"family": "Llama", "max_position_embeddings": 48, "rope_parameters": rope("dynamic")},
    "longrope": {"family": "Phi3", "rope_parameters": LONG, "original_max_position_embeddings": 48},
}


@pytest.mark.parametrize("kind", CHANGING)
def test_frequencies_that_change_with_length(kind: str, ids_T: Tensor) -> None:
    """Un-rotated keys turn to each length's frequencies; in one layer no trace of earlier lengths is left."""
    model = build(**CHANGING[kind], num_hidden_layers=1)
    hosted = host(model)
    for length, step in enumerate(stream(hosted, ids_T[:72]), start=1):
        torch.testing.assert_close(step, eager(model, ids_T[:length])[-1], atol=1e-5, rtol=0)
    assert hosted.rope(0, 1) is hosted.rope(0, 47)
    assert not torch.equal(hosted.rope(0, 48).inv_freq_F, hosted.rope(0, 70).inv_freq_F)


@pytest.mark.parametrize("kind", CHANGING)
def test_changing_frequencies_through_several_layers(kind: str, ids_T: Tensor) -> None:
    model = build(**CHANGING[kind])
    hosted = host(model)
    for length in (47, 48, 49, 60, TOKENS, 50, 40):
        wanted = eager(build(**CHANGING[kind]), ids_T[:length])[-1]
        torch.testing.assert_close(read(hosted, ids_T[:length], length)[-1], wanted, atol=1e-5, rtol=0)


def test_a_model_that_ran_a_long_text_before_is_hosted_alike(ids_T: Tensor) -> None:
    fresh, used = build(**CHANGING["dynamic"]), build(**CHANGING["dynamic"])
    eager(used, ids_T)
    assert torch.equal(read(host(used), ids_T[:52], 52), read(host(fresh), ids_T[:52], 52))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_hosted_alike_whatever_torchs_defaults_are(family: str, ids_T: Tensor) -> None:
    model = FAMILIES[family]()
    wanted = read(host(model), ids_T, 1)
    with other_defaults():
        got = read(host(model), ids_T, 1)
    assert torch.equal(got, wanted)


def test_facts() -> None:
    facts = {family: host(make()).facts for family, make in FAMILIES.items()}
    assert [fact.sliding_window for fact in facts["qwen2-sliding"]] == [None, SLIDING, SLIDING]
    assert [fact.sliding_window for fact in facts["gemma3"]] == [SLIDING, None] * 2
    assert [fact.uses_rope for fact in facts["smollm3"]] == [True, False] * 2
    assert [fact.has_sinks for fact in facts["gpt-oss"]] == [True] * 3
    assert [fact.softcap for fact in facts["gemma2"]] == [3.0] * 4
    assert len({fact.rope_kind for fact in facts["gemma3"]}) == 2
    assert len({fact.rope_kind for fact in facts["llama"]}) == 1
    first = facts["gemma2"][0]
    assert (first.q_heads, first.kv_heads, first.key_dim, first.value_dim) == (4, 2, 24, 24)
    assert facts["granite"][0].scaling == 0.3


def test_model_level_numbers() -> None:
    hosted = host(FAMILIES["llama-yarn"]())
    assert (hosted.window, hosted.hidden_size, hosted.vocab_size) == (WINDOW, 64, VOCABULARY)
    assert (hosted.dtype, hosted.device) == (torch.float32, torch.device("cpu"))
    assert hosted.bytes_per_token == 3 * 2 * (16 + 16) * 4
    assert host(FAMILIES["gemma3"]()).bytes_per_token == 2 * 2 * (24 + 24) * 4
    assert host(FAMILIES["mistral"]()).bytes_per_token == 3 * 2 * (16 + 16) * 4  # all of its layers slide
    yarn = rope("yarn", original_max_position_embeddings=64)
    assert host(build("Llama", max_position_embeddings=64, rope_parameters=yarn)).window == 256


def test_logits_asked_for(ids_T: Tensor) -> None:
    hosted = host(FAMILIES["granite"]())

    def run(logits: Any) -> Tensor | None:
        return hosted.forward(ids_T, 0, [Reference(hosted, fact.index) for fact in hosted.facts], logits)

    every, last = run("all"), run("last")
    assert every is not None and every.shape == (TOKENS, VOCABULARY)
    assert last is not None and last.shape == (1, VOCABULARY)
    torch.testing.assert_close(every[-1:], last)
    assert run(None) is None


@pytest.mark.parametrize("family", ["llama-dynamic", "gemma3", "gpt-oss", "glm4"])
def test_the_model_is_left_as_it_was(family: str, ids_T: Tensor) -> None:
    model = FAMILIES[family]().train()
    model.set_attn_implementation("sdpa" if family == "llama-dynamic" else "eager")
    config, modules = model.config.to_dict(), list(model.modules())
    weights = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        before = model(input_ids=ids_T[None]).logits
        hosted = host(model)
        read(hosted, ids_T, 16)
        after = model(input_ids=ids_T[None]).logits
    assert torch.equal(before, after)
    assert config == model.config.to_dict()
    assert model.config._attn_implementation in ("sdpa", "eager")
    assert all(ours is theirs for ours, theirs in zip(modules, model.modules(), strict=True))
    assert all(module.training for module in modules)
    assert weights == {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}


def test_hosting_copies_no_weight_and_follows_changes(ids_T: Tensor) -> None:
    model = FAMILIES["llama"]()
    hosted = host(model)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(2.0)
    assert (read(hosted, ids_T, 32) - eager(model, ids_T)).abs().max() <= 1e-5
    model.to(torch.float64)
    assert read(hosted, ids_T, 32).dtype == torch.float64


def test_two_hosts_and_threads_on_one_model(ids_T: Tensor) -> None:
    model = FAMILIES["gemma3"]()
    wanted = eager(model, ids_T)
    hosts = [host(model), host(model)]
    found: list[float] = []

    def work(hosted: HostedModel) -> None:
        for chunk in (5, 16, 50):
            found.append((read(hosted, ids_T, chunk) - wanted).abs().max().item())

    threads = [threading.Thread(target=work, args=(hosts[i % 2],)) for i in range(4)]
    for thread in threads:
        thread.start()
    found.extend((eager(model, ids_T) - wanted).abs().max().item() for _ in range(5))
    for thread in threads:
        thread.join()
    assert len(found) == 17
    assert max(found) <= 1e-5


def test_the_language_model_inside_a_model_of_several_modalities(ids_T: Tensor) -> None:
    text = FAMILIES["gemma3"]().config.to_dict() | {"vocab_size": 160}
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"image_token_index": 150, "boi_token_index": 151, "eoi_token_index": 152, "mm_tokens_per_image": 1}
    config = Gemma3Config(text_config=text, vision_config=vision | {"image_size": 28, "patch_size": 14}, **tokens)
    torch.manual_seed(3)
    model = Gemma3ForConditionalGeneration(config).eval()
    hosted = host(model)
    assert [fact.sliding_window for fact in hosted.facts] == [SLIDING, None] * 2
    assert (read(hosted, ids_T, 16) - eager(model, ids_T)).abs().max() <= 1e-5
