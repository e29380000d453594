"""Heads that are kept apart (DuoAttention): each as its own reference has it, in memory of its own size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import farspan
from farspan import methods
from farspan.engine import Model
from farspan.errors import MethodError, SessionError
from farspan.methods.parts.place.profile import HeadProfile, HeadScore, load_profile
from farspan.types import Budget
from tests.attention.families import build
from tests.methods.brute import Brute, Keys, brutes, span, true
from tests.tiny import VOCABULARY, different_ids, eager, least_budget, random_ids, stream, tokenizer

WINDOW, TOKENS = 96, 150
SINKS, RECENT = 4, 20
RETRIEVING = {(0, 1), (2, 0), (2, 3)}
"""KV heads by layer; all in layers 0 and 2 and none in layer 1."""


def make(**options: object) -> Model:
    """Three layers of four KV heads, each with two query heads."""
    settings = {"num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 4, "eos_token_id": 3}
    given = {"vocab_size": VOCABULARY, "max_position_embeddings": WINDOW, **settings, **options}
    return Model(build("Llama", **given), tokenizer(), "tiny")


@pytest.fixture(scope="module")
def model() -> Model:
    """The model, shared."""
    return make()


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One query head of each KV head that retrieves scores high, and its neighbour nothing."""
    path = tmp_path_factory.mktemp("profile") / "heads.json"
    scores = [
        HeadScore(layer, head, 0.9 if head % 2 and (layer, head // 2) in RETRIEVING else 0.0)
        for layer in range(3)
        for head in range(8)
    ]
    HeadProfile(tuple(scores), "tiny").save(path)
    return path


def duo(profile: Path, **keywords: object) -> methods.Method:
    return methods.get("duo_attention")(
        profile=str(profile), sparsity=0.75, sink_size=SINKS, recent_size=RECENT, **keywords
    )


class Duo:
    """Full attention, or the first tokens and the last, at true distances: one rule a layer."""

    def __init__(self, layer: int) -> None:
        self.layer = layer

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """By the KV head's class."""
        if (self.layer, head // brute.group) in RETRIEVING:
            return [true(span(0, token + 1), token)]
        recent = span(token - RECENT + 1, token + 1)
        return [true(torch.cat((span(0, min(SINKS, int(recent[0]))), recent)), token)]


@pytest.mark.parametrize("chunk", [1, 7, 32])
def test_heads_that_retrieve_meet_everything_and_the_others_sinks_and_window(
    model: Model, profile: Path, chunk: int
) -> None:
    ids = different_ids(TOKENS, seed=3)
    wanted = stream(model.hosted, brutes(model.hosted, [Duo(layer) for layer in range(3)]), ids, 25)
    budget = Budget() if chunk == 7 else Budget(least_budget(lambda one: model.session(duo(profile), one, chunk=chunk)))
    with model.session(duo(profile), budget, chunk=chunk) as session:
        logits = session.logits(ids)
        counts = session.counts
    torch.testing.assert_close(logits, wanted, atol=3e-5, rtol=0)
    assert not counts.exact and counts.dropped == 0
    assert (counts.stored > 0) == (budget != Budget())
    full = eager(model.hosted.model, ids)
    assert (logits[30:] - full[30:]).abs().max() > 0.01, "this text does not tell the method from full attention"


def test_memory_grows_by_the_heads_that_retrieve(model: Model, profile: Path) -> None:
    """A quarter of the heads, a quarter of the bytes that a longer text takes."""
    grown = []
    for method in ("full", duo(profile)):
        with model.session(method, chunk=16) as session:
            sizes = []
            for _ in range(3):
                session.read(random_ids(400))
                sizes.append(session.counts.kv_bytes["device"])
        grown.append(sizes[2] - sizes[1])
    assert grown[1] == pytest.approx(grown[0] / 4, rel=0.05)


def test_heads_that_stream_hold_sinks_and_window_only(model: Model, profile: Path) -> None:
    with model.session(duo(profile), chunk=16) as session:
        session.read(random_ids(400))
        held = {
            (layer.facts.index, layer.heads): len(layer.sinks) + len(layer.recent)
            for layer in session._stream.kv.layers
        }
    few = SINKS + RECENT + 16
    assert {at for at, tokens in held.items() if tokens > few} <= {(0, (1,)), (2, (0, 3))}
    assert {at for at, tokens in held.items() if tokens <= few} >= {(0, (0, 2, 3)), (1, (0, 1, 2, 3)), (2, (1, 2))}


def test_a_logit_without_a_value_belongs_to_its_head(profile: Path) -> None:
    """Models such as GPT-OSS have one for every query head; with nothing streaming, split or not is the same."""
    made = build("GptOss", num_hidden_layers=2, layer_types=["full_attention"] * 2)
    model = Model(made, tokenizer(), "sinks")
    ids = random_ids(60, vocabulary=model.hosted.vocab_size)
    logits = []
    split = methods.get("duo_attention")(profile=str(profile), sparsity=0.25, sink_size=1, recent_size=100)
    for method in ("full", split):
        with model.session(method, chunk=16) as session:
            assert (len(session._stream.kv.layers) > 2) == (method != "full")
            logits.append(session.logits(ids))
    torch.testing.assert_close(logits[1], logits[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("sparsity", "streaming"), [(0, 0), (0.25, 3), (0.5, 6), (0.75, 9), (1, 12)])
def test_sparsity_is_the_share_of_heads_that_stream(
    model: Model, profile: Path, sparsity: float, streaming: int
) -> None:
    method = methods.get("duo_attention")(profile=str(profile), sparsity=sparsity)
    plans = [one for layer in method.plans(model.hosted) for one in layer]
    assert sum(len(one.heads) for one in plans if not one.plan.keep.stores) == streaming
    assert sum(len(one.heads) for one in plans) == 12


def test_what_retrieves_may_be_left_to_another_method(model: Model, profile: Path) -> None:
    joined = methods.parse(f"infllm+int8+duo_attention(profile={str(profile)!r}, sparsity=0.75)")
    (streams, fetches), (all_stream,), _ = joined.plans(model.hosted)
    assert fetches.heads == (1,) and fetches.plan == methods.parse("infllm+int8").resolve(WINDOW)
    assert (streams.plan.sinks, streams.plan.window) == (6, 90) and not streams.plan.keep.stores
    assert all_stream.plan == streams.plan
    with pytest.raises(MethodError, match="both choose the keep"):
        (methods.get("full")()[0] | duo(profile)).plans(model.hosted)


def test_the_papers_numbers(model: Model, profile: Path) -> None:
    method = methods.get("duo_attention")(profile=str(profile))
    plan = dict(method.terms[0].parts)["keep"].resolve(32_768)
    assert (plan.sinks, plan.window) == (64, 256)  # type: ignore[attr-defined]
    assert methods.describe("duo_attention").defaults["sparsity"] == 0.5


def test_saved_and_opened_with_the_same_heads_only(model: Model, profile: Path, tmp_path: Path) -> None:
    """Beside what the contract asks of every method: another profile is not taken for the one that it was made with."""
    own = tmp_path / "own.json"
    own.write_bytes(profile.read_bytes())
    with model.session(duo(own), chunk=16) as session:
        session.read(random_ids(200))
        session.save(tmp_path / "saved")
        own.rename(tmp_path / "away.json")
        session.fork().close()
    (tmp_path / "away.json").rename(own)
    farspan.open(tmp_path / "saved", model).close()
    scores = [HeadScore(one.layer, 7 - one.head, one.score) for one in load_profile(str(own)).heads]
    HeadProfile(tuple(scores)).save(own)
    with pytest.raises(SessionError, match="other heads"):
        farspan.open(tmp_path / "saved", model)
    own.unlink()
    with pytest.raises(MethodError, match=r"own\.json cannot be read"):
        farspan.open(tmp_path / "saved", model)


@pytest.mark.parametrize("content", ["", "[]", '{"heads": 3}', '{"heads": [{"layer": 0}]}', '{"heads": [3]}'])
def test_what_is_no_profile_is_refused(model: Model, tmp_path: Path, content: str) -> None:
    (tmp_path / "heads.json").write_text(content)
    with pytest.raises(MethodError, match="is no profile") as caught:
        model.session(duo(tmp_path / "heads.json"))
    assert "farspan eval heads" in caught.value.fix


def test_a_profile_is_for_one_model(model: Model, profile: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.json"
    HeadProfile(load_profile(str(profile)).heads, "tiny", model.fingerprint).save(own)
    model.session(duo(own)).close()
    assert json.loads(own.read_text())["fingerprint"] == model.fingerprint
    with pytest.raises(MethodError, match="another model, tiny"):
        make(rms_norm_eps=1e-5, num_hidden_layers=2).session(duo(own))
    with pytest.raises(MethodError, match="no profile"):
        model.session("duo_attention")
    with pytest.raises(MethodError, match="a number from 0 to 1"):
        methods.parse("duo_attention(sparsity=1.5)")
