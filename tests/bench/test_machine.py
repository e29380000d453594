"""What is held against a speed: models of a known shape, what a token costs, and what the machine can do."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import accumulate, count, repeat

import pytest
import torch
from transformers import LlamaForCausalLM

from farspan.bench import ceiling, shapes
from farspan.bench import costs as costs_module
from farspan.bench.costs import Costs, KeyCost, Machine
from farspan.engine import Model
from farspan.errors import UsageError
from tests.attention.families import FAMILIES, SLIDING
from tests.bench.random_llama import TINY, model
from tests.tiny import tokenizer


def test_bandwidth_and_rate_are_the_best_of_their_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter([4.0, 1.0, 2.0, *repeat(8.0, 200)])
    now = accumulate(step for each in steps for step in (each, 0.5))
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    monkeypatch.setattr(ceiling, "_BUFFER_BYTES", 1 << 20)
    assert ceiling.read_bandwidth() == (1 << 20) / 0.5


def test_the_rate_counts_two_operations_for_each_product(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(ceiling, "_CPU_EDGES", (8, 16))
    assert ceiling.matmul_rate(torch.float32) == 2 * 16**3


def test_what_is_multiplied_in_float32_is_held_against_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    multiplied: list[torch.dtype] = []
    monkeypatch.setattr(ceiling, "_square_rate", lambda edge, dtype, device: float(multiplied.append(dtype) is None))
    for lacks in (True, False):
        monkeypatch.setattr(ceiling, "lacks_products", lambda dtype, lacks=lacks: lacks)
        ceiling.matmul_rate(torch.bfloat16)
    assert set(multiplied[:3]) == {torch.float32} and set(multiplied[3:]) == {torch.bfloat16}


def test_named_shapes_have_the_size_that_they_are_named_for() -> None:
    sizes = {}
    for name, shape in shapes.SHAPES.items():
        with torch.device("meta"):
            sizes[name] = sum(each.numel() for each in LlamaForCausalLM(shape.config()).parameters())
    assert sizes == {"llama-135m": 134_515_008, "llama-8b": 8_030_261_248}


def test_random_models_are_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", TINY)
    torch.manual_seed(1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    again = shapes.random_model("tiny", window=64, dtype="bfloat16")
    assert torch.rand(1) == drawn, "it leaves torch's own random numbers alone"
    assert (again.window, again.hosted.dtype, torch.get_default_dtype()) == (64, torch.bfloat16, torch.float32)
    assert shapes.random_model("tiny").fingerprint == model().fingerprint
    with pytest.raises(UsageError, match="known: llama-135m, llama-8b, tiny"):
        shapes.random_model("tyni")


def test_a_random_model_writes_numbers_and_does_not_repeat_one() -> None:
    with model().session() as session:
        answer = session.generate([1, 2, 3], max_new_tokens=32, ignore_eos=True)
        assert answer.text.split() == [str(number) for number in answer.ids]
        assert len(set(answer.ids)) > 8


@pytest.mark.parametrize("tied", [True, False])
def test_costs_are_the_bytes_and_operations_of_a_token(monkeypatch: pytest.MonkeyPatch, tied: bool) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", replace(TINY, tied=tied))
    costs = Costs.of(shapes.random_model("tiny"))
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64
    body, head = 2 * layer + 64, 512 * 64
    assert (costs.weight_bytes, costs.operations) == (4 * (body + head), 2 * body)
    assert costs.keys == (KeyCost(numbers=2 * 2 * 16, operations=2 * 4 * 16 * 2),) * 2
    machine = Machine(bytes_per_s=1000.0, operations_per_s=100.0)
    assert costs.writing_s(machine, 5, 4) == (costs.weight_bytes + 2 * 5 * 64 * 4) / 1000
    assert costs.reading_s(machine, 3) == (costs.operations + 3 * 2 * 256) / 100


def test_of_experts_those_count_that_a_token_is_sent_to() -> None:
    mixture = FAMILIES["qwen3-moe"]()
    layers, last_norm = sum(each.numel() for each in mixture.model.layers.parameters()), 64
    idle = 3 * 2 * (3 * 64 * 48)
    assert Costs.of(Model(mixture, tokenizer(), "")).operations == 2 * (layers + last_norm - idle)


def test_a_sliding_window_is_the_most_that_a_layer_attends_to() -> None:
    costs = Costs(
        weight_bytes=0, operations=0, keys=(KeyCost(numbers=3, operations=5, most=16), KeyCost(numbers=3, operations=5))
    )
    machine = Machine(bytes_per_s=1.0, operations_per_s=1.0)
    assert costs.writing_s(machine, 10, 2) == 2 * 3 * (10 + 10)
    assert costs.writing_s(machine, 100, 2) == 2 * 3 * (16 + 100)
    assert costs.reading_s(machine, 100) == 5 * (16 + 100)
    hosted = Model(FAMILIES["qwen2-sliding"](), tokenizer(), "")
    windows = [layer.most for layer in Costs.of(hosted).keys]
    assert windows == [fact.sliding_window for fact in hosted.hosted.facts] and {None, SLIDING} <= set(windows)


def test_weights_count_by_the_bytes_that_each_is_stored_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes.SHAPES, "tiny", TINY)
    whole = Costs.of(shapes.random_model("tiny"))
    part = shapes.random_model("tiny")
    for module in part.hosted.model.model.layers.modules():
        if isinstance(module, torch.nn.Linear):  # two numbers in a byte, as bitsandbytes has them
            packed = torch.zeros(module.weight.numel() // 2, 1, dtype=torch.uint8)
            module.weight = torch.nn.Parameter(packed, requires_grad=False)
    found = Costs.of(part)
    in_matrices = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 96)
    assert found.operations == whole.operations
    assert found.weight_bytes == whole.weight_bytes - 4 * in_matrices + in_matrices // 2


def test_a_weight_made_of_several_tensors_counts_by_theirs() -> None:
    class Grids(torch.Tensor):
        codes, scales = torch.zeros(64, 64, dtype=torch.int8), torch.zeros(64)

        def __tensor_flatten__(self) -> tuple[list[str], None]:
            return ["codes", "scales"], None

    assert costs_module._stored_bytes(torch.zeros(64, 64).as_subclass(Grids)) == 64 * 64 + 4 * 64
