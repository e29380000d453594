"""Methods that differ between layers: each layer is as its own method has it, and the budget holds for all together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

import farspan
from farspan import methods
from farspan.engine import Model
from farspan.engine.layer_bytes import by_tier
from farspan.errors import MethodError, StorageFull
from farspan.methods.parts.select.best_bounds import BestBounds
from farspan.methods.parts.select.best_keys import BestKeys
from farspan.methods.parts.select.everything import Everything
from farspan.methods.parts.select.nothing import Nothing
from farspan.methods.parts.select.tree_scan import TreeScan
from farspan.types import Budget
from tests.attention.families import FAMILIES
from tests.methods.brute import Blocks, Brute, Keys, Rule, Streaming, brutes, span, true
from tests.tiny import different_ids, eager, least_budget, llama, random_ids, stream, tokenizer

WINDOW, TOKENS = 48, 120


@pytest.fixture(scope="module")
def model() -> Model:
    """Three layers and a window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW, num_hidden_layers=3), tokenizer(), "tiny")


class Full:
    """Everything at its true distance."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """All tokens so far."""
        return [true(span(0, token + 1), token)]


class AllBlocks(Blocks):
    """A dense layer of a method that stores blocks: all of them, at the edge of the window."""

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """Every one."""
        return list(range(self.count))


@dataclass
class NoBlocks(Blocks):
    """What such a method meets while it looks at no blocks."""

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """None."""
        return []


def streaming(dense: int) -> Rule:
    """The one below."""
    return Streaming(4, 20)


def full(dense: int) -> Rule:
    """Full attention."""
    return Full()


def dense(dense: int) -> Rule:
    """A dense layer of the quest below."""
    return AllBlocks(dense, 4, 20, 5, 0)


def near(dense: int) -> Rule:
    """One of the others while it looks at nothing."""
    return NoBlocks(dense, 4, 20, 5, 0)


STREAM = "streaming(start_size=4, recent_size=20)"
QUEST = "n_init=4, n_local=20, page_size=5"
EVENTS = "min_block_size=2, max_block_size=6"
HIP = "sink_token_size=4, sliding_window_size=20, chunk_size=5, second_stage_k=1"
CASES: dict[str, list[Callable[[int], Rule]]] = {
    f"full[0]+{STREAM}": [full, streaming, streaming],
    f"{STREAM}+full[-1:]": [streaming, streaming, full],
    f"full[0, 2]|{STREAM}[1]": [full, streaming, full],
    f"{STREAM}[::2]+topk(n_init=4, n_local=20, block=5, when=both, top_k=1000)": [streaming, dense, streaming],
    f"quest({QUEST}, when=both, token_budget=1, dense_layers=3)": [dense] * 3,
    f"quest({QUEST}, when=answering)": [near] * 3,
    f"quest({QUEST}, when=both)[:2]+topk(n_init=4, n_local=20, block=5)": [dense, dense, near],
    f"topk(n_init=4, n_local=20, block=5)|hip({HIP}, when=both, dense_layers=2)[:2]": [
        dense,
        dense,
        near,
    ],
}


@pytest.mark.parametrize("method", CASES)
def test_every_layer_is_as_its_own_method_has_it(model: Model, method: str) -> None:
    ids = different_ids(TOKENS, seed=3)
    plain = eager(llama(max_position_embeddings=WINDOW, num_hidden_layers=3), ids)
    least = Budget(least_budget(lambda budget: model.session(method, budget, chunk=8)))
    for budget, dense in ((Budget(), WINDOW), (least, 24)):
        handlers = brutes(model.hosted, [rule(dense) for rule in CASES[method]])
        wanted = stream(model.hosted, handlers, ids, 8)
        with model.session(method, budget, chunk=8) as session:
            logits = session.logits(ids)
            counts = session.counts
        torch.testing.assert_close(logits, wanted, atol=3e-5, rtol=0)
        assert not counts.exact
        assert (wanted[WINDOW:] - plain[WINDOW:]).abs().max() > 0.01, "this text does not tell it from full attention"


@pytest.mark.parametrize("chunk", [5, 16])
@pytest.mark.parametrize(
    "method", [f"full[0]+{STREAM}", f"quest({QUEST})[1:]+em_llm({EVENTS})[0]", "int4[1]+full(n_local=9)"]
)
def test_the_budget_holds_for_all_layers_together(model: Model, method: str, chunk: int) -> None:
    """What must stay is paid for every layer as it needs it, and what a budget leaves for blocks is filled."""
    least = least_budget(lambda budget: model.session(method, budget, chunk=chunk))
    for size in (least, least + 20_000):
        filled = 0
        with model.session(method, Budget(size), chunk=chunk) as session:
            for number in range(0, 400, 50):
                session.read(random_ids(50, seed=number))
                counts = session.counts
                assert counts.kv_bytes["device"] <= size
                assert counts.seen == counts.kept + counts.stored + counts.dropped
                filled = max(filled, counts.kv_bytes["device"])
        assert filled > size / 2 and counts.kv_bytes["disk"] > 0


def test_layers_that_hold_more_count(model: Model) -> None:
    """A token that one layer still has is not dropped, wherever the others have it."""
    with model.session(STREAM, chunk=8) as alone, model.session(f"full[0]+{STREAM}", chunk=8) as mixed:
        for session in (alone, mixed):
            session.read(random_ids(300))
        some = [by_tier(layer)["device"] for layer in mixed._stream.kv.layers]
        assert alone.counts.dropped >= 300 - 24 - 8 and mixed.counts.dropped == 0
        assert mixed.counts.kept == mixed.counts.seen == 300
        assert some[0] > 5 * some[1] == 5 * some[2]
        assert mixed.counts.kv_bytes["device"] == sum(some)


def test_a_full_layer_goes_to_disk_and_never_drops(model: Model) -> None:
    method = f"full[0]+{STREAM}"
    least = least_budget(lambda budget: model.session(method, budget, chunk=8))
    with model.session(method, Budget(least), chunk=8) as session:
        session.read(random_ids(400))
        assert session.counts.stored > 250 and session.counts.dropped == 0
    with model.session(method, Budget(least, disk=0), chunk=8) as session, pytest.raises(StorageFull):
        session.read(random_ids(400))


def test_blocks_are_shared_out_by_tokens(model: Model) -> None:
    """Layers with longer blocks and with codecs get the same room in tokens, not in bytes."""
    method = "infllm(n_init=4, n_local=20, block=4)[0]+infllm(n_init=4, n_local=20, block=12)+int8[2]"
    with model.session(method, Budget(200_000), chunk=8) as session:
        layers = session._stream.kv.layers
        tokens = [(layer.arenas["blocks"].limits.device or 0) * layer.plan.block for layer in layers]
    assert min(tokens) > 100 and max(tokens) - min(tokens) <= 2 * 12


def test_events_in_some_layers_only(model: Model, tmp_path: Path) -> None:
    """The record of surprise is that of the layers that cut by it, each with numbers of its own."""
    method = f"em_llm({EVENTS}, n_local=10)[0]+em_llm({EVENTS}, n_local=20)[1]+topk(n_init=4, n_local=20)"
    with model.session(method, chunk=8) as session:
        session.read(random_ids(150))
        state = session._stream.kv.state_dict()[1]
        held = [len(layer.recent) for layer in session._stream.kv.layers]
        assert [len(state[f"surprise.{number}.mark"]) for number in (0, 1)] == held[:2]
        assert "surprise.2.mark" not in state and held[0] != held[1]
        session.save(tmp_path / "saved")
        wanted = session.logits(random_ids(40, seed=1))
    with farspan.open(tmp_path / "saved", model) as opened, opened.fork() as fork:
        torch.testing.assert_close(fork.logits(random_ids(40, seed=1)), wanted, atol=1e-5, rtol=0)


TEXTS = ["full[:2]+quest", "streaming(start_size=2)[0:4, -1]", "full[::2]+int8", "topk[1:][:9]+full[5]"]


@pytest.mark.parametrize("text", TEXTS)
def test_layers_come_back_from_text(text: str) -> None:
    method = methods.parse(text)
    assert str(method) == text
    assert methods.parse(str(method)) == method


def test_text_is_the_same_as_python() -> None:
    full, quest, int8 = (methods.get(name)() for name in ("full", "quest", "int8"))
    assert methods.parse("full[:2] + quest") == full[:2] | quest
    assert methods.parse("(quest | int8)[1, 3:]") == quest[1, 3:] | int8[1, 3:]
    with pytest.raises(TypeError):
        list(full)  # type: ignore[call-overload]


def test_a_method_without_layers_yields_as_a_whole(model: Model) -> None:
    first, second, third = (one[0].plan for one in methods.parse("full[0]+infllm+int8+int4[1]").plans(model.hosted))
    assert first == methods.parse("full+int8").resolve(WINDOW)
    assert second == methods.parse("infllm+int4").resolve(WINDOW)
    assert third == methods.parse("infllm+int8").resolve(WINDOW)


@pytest.mark.parametrize(
    ("text", "both"),
    [("full[:2]+streaming[1:]", "full[:2] and streaming[1:]"), ("infllm[1]+topk[-2]+full", "infllm[1] and topk[-2]")],
)
def test_two_in_one_layer_are_named(model: Model, text: str, both: str) -> None:
    with pytest.raises(MethodError, match="both choose the keep") as caught:
        model.session(text)
    assert both in caught.value.message and caught.value.fix
    model.session(text.replace("1", "2").replace("-2", "0")).close()


NO_LAYERS = "[3] [-4] [2:1] [3:] [:4] [-4:] [:99] [0,:99] [1.5] [x] ['a'] [()] [::0] [None] [True] [0][ [[1]]".split()


@pytest.mark.parametrize("brackets", NO_LAYERS)
def test_what_names_no_layers_is_refused(model: Model, brackets: str) -> None:
    with pytest.raises(MethodError) as caught:
        model.session(f"full{brackets}")
    assert "layer" in caught.value.message + caught.value.fix


def test_layers_that_the_model_has_not_got_are_named_with_those_that_it_has(model: Model) -> None:
    said = {
        "topk[:99]+full": "[:99] goes beyond the layers of a model of 3 layers, 0 to 2",
        "topk[2:1]+full": "[2:1] names no layer of a model of 3 layers, 0 to 2",
        "full[0, 3]": "there is no layer 3 of a model of 3 layers, 0 to 2",
    }
    for text, sentence in said.items():
        with pytest.raises(MethodError) as caught:
            model.session(text)
        assert caught.value.message == sentence and caught.value.fix
    model.session("topk[-3:2]+full[:1:-1]+quest(dense_layers=99)").close()


def test_first_layers_are_those_that_see_everything() -> None:
    """Every other layer of this Gemma 3 slides: the first two that a method governs are layers 1 and 3."""
    made = Model(FAMILIES["gemma3"](), tokenizer(), "gemma3")
    for method, first, choosing in (
        ("quest(dense_layers=1)", Everything, BestBounds),
        ("hip(dense_layers=1)", Everything, TreeScan),
        ("lm_infinite(top_k=5, top_k_from_layer=1)", Nothing, BestKeys),
    ):
        with made.session(method) as session:
            kinds = {layer.facts.index: type(layer.plan.select) for layer in session._stream.kv.layers}
        assert (kinds[1], kinds[3]) == (first, choosing), method
    with pytest.raises(MethodError, match="all of the 2 that have no sliding window"):
        made.session("lm_infinite(top_k=5, top_k_from_layer=2)")


@pytest.mark.parametrize(("layers", "dense"), [(3, 0), (8, 1), (17, 2)])
def test_hip_scans_nothing_in_an_eighth_of_the_layers(layers: int, dense: int) -> None:
    made = Model(llama(max_position_embeddings=WINDOW, num_hidden_layers=layers), tokenizer(), "deep")
    with made.session("hip") as session:
        kinds = [type(layer.plan.select) for layer in session._stream.kv.layers]
    assert kinds == [Everything] * dense + [TreeScan] * (layers - dense)
