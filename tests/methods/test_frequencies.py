"""Changed rotary angles: the papers' formulas, transformers' own where it has them, and how they meet other parts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

import farspan
from farspan import methods
from farspan.attention.rope import Rope
from farspan.engine import Model
from farspan.errors import MethodError
from farspan.methods.parts.importance.expected_attention import ExpectedAttention
from farspan.methods.parts.notes import Notes
from tests.attention.families import FAMILIES
from tests.methods.brute import Brute, InfLLM, Keys, Streaming, brutes, reference, span, true
from tests.tiny import WINDOW, different_ids, eager, least_budget, llama, random_ids, stream, tokenizer

BASE = 10000.0
ROPED = ["pi", "ntk", "dynamic_ntk", "yarn", "abf", "entropy_abf", "giraffe_power", "giraffe_truncated"]


def powers(width: int, base: float = BASE) -> list[float]:
    return [base ** (-2 * i / width) for i in range(width // 2)]


def turned(method: str, window: int, width: int, length: int | None = None, scaling: float = 1.0) -> Rope:
    """What a method makes of a plain model's angles, by default four windows into a text."""
    plan = methods.parse(method).resolve(window)
    return plan.rope(Rope(torch.tensor(powers(width)), scaling, base=BASE), 4 * window if length is None else length)


def theirs(kind: str, window: int, width: int, length: int, **options: Any) -> tuple[Tensor, float]:
    """Frequencies and scaling as transformers computes them."""
    parameters = {"rope_type": kind, "rope_theta": BASE, "original_max_position_embeddings": window, **options}
    config = SimpleNamespace(
        rope_parameters=parameters,
        hidden_size=4 * width,
        num_attention_heads=4,
        head_dim=width,
        max_position_embeddings=window,
        standardize_rope_params=lambda: None,
    )
    inv_freq_F, scaling = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=length)
    return inv_freq_F, scaling


THEIRS = {
    "pi(factor=4)": ("linear", {"factor": 4.0}),
    "pi(factor=2.5)": ("linear", {"factor": 2.5}),
    "dynamic_ntk": ("dynamic", {"factor": 1.0}),
    "dynamic_ntk(factor=3)": ("dynamic", {"factor": 3.0}),
    "yarn": ("yarn", {"factor": 4.0}),
    "yarn(factor=16)": ("yarn", {"factor": 16.0}),
    "yarn(factor=8, beta_fast=20, beta_slow=2)": ("yarn", {"factor": 8.0, "beta_fast": 20, "beta_slow": 2}),
}


@pytest.mark.parametrize(("window", "width"), [(4096, 128), (128, 16)])
@pytest.mark.parametrize("windows", [1.5, 7])
@pytest.mark.parametrize("method", THEIRS)
def test_angles_are_those_of_transformers(method: str, windows: float, window: int, width: int) -> None:
    kind, options = THEIRS[method]
    length = int(windows * window)
    wanted, scaling = theirs(kind, window, width, length, **options)
    rope = turned(method, window, width, length, scaling=1.25)
    torch.testing.assert_close(rope.inv_freq_F, wanted, rtol=1e-5, atol=0)
    assert rope.attention_scaling == pytest.approx(1.25 * scaling)


def by_hand(method: str, window: int, width: int) -> list[float]:
    """The formulas of the papers, for a factor of 4."""
    plain = powers(width)
    if method == "ntk":
        return powers(width, BASE * 4 ** (width / (width - 2)))
    if "abf" in method:
        return powers(width, 500000.0)
    if method == "giraffe_power":
        return [theta * (1 - 2 * i / width) ** 0.5 for i, theta in enumerate(plain)]
    once = 2 * math.pi / window
    return [theta if theta >= once else once / 16 if theta >= once / 8 else 0.0 for theta in plain]


@pytest.mark.parametrize(("window", "width"), [(4096, 128), (128, 16)])
@pytest.mark.parametrize("method", ["ntk", "abf", "entropy_abf", "giraffe_power", "giraffe_truncated"])
def test_angles_are_those_of_the_formulas(method: str, window: int, width: int) -> None:
    wanted = torch.tensor(by_hand(method, window, width))
    rope = turned(method, window, width)
    torch.testing.assert_close(rope.inv_freq_F, wanted, rtol=1e-5, atol=0)
    assert rope.attention_scaling == 1
    if method == "giraffe_truncated":
        assert wanted.unique().numel() < wanted.numel() and wanted[-1] == 0


@pytest.mark.parametrize("name", ROPED)
def test_trained_angles_serve_as_long_as_the_text_fits(name: str) -> None:
    own = Rope(torch.tensor(powers(16)), base=BASE)
    plan = methods.parse(name).resolve(WINDOW)
    assert plan.rope(own, WINDOW) is own
    assert not torch.equal(plan.rope(own, 2 * WINDOW).inv_freq_F, own.inv_freq_F)
    assert methods.get(name)(when="always").resolve(WINDOW).rope(own, 1) is not own


SCALED = ["llama-llama3", "llama-yarn", "llama-linear", "llama-dynamic", "phi3-longrope"]


@pytest.mark.parametrize("length", [1, 1024])
@pytest.mark.parametrize("family", [*SCALED, "gpt-neox", "qwen3"])
def test_frequencies_that_are_scaled_stay_scaled(family: str, length: int) -> None:
    """They are changed by what changes unscaled ones, also where only a part of a head is turned."""
    own = Model(FAMILIES[family](), tokenizer(), family).hosted.rope(0, length)
    assert own is not None
    plain_F = torch.tensor(powers(own.width))
    assert torch.allclose(own.inv_freq_F, plain_F) == (family not in SCALED or (family, length) == ("llama-dynamic", 1))
    for method in ("abf(base=160000)", "entropy_abf(base=20000)"):
        changed = methods.parse(method).resolve(256).rope(own, 1024)
        change_F = turned(method, 256, own.width).inv_freq_F / plain_F
        torch.testing.assert_close(changed.inv_freq_F, own.inv_freq_F * change_F, rtol=1e-4, atol=0)


@pytest.mark.parametrize("family", [*SCALED, "gpt-neox", "qwen3", "bundled"])
def test_yarn_goes_by_how_often_frequencies_really_turn(family: str) -> None:
    """Those of more than 32 turns in the window stay, those of less than one are divided, however they came to be."""
    made = farspan.load() if family == "bundled" else Model(FAMILIES[family](), tokenizer(), family)
    own = made.hosted.rope(0, 2 * made.window)
    assert own is not None
    change_F = methods.parse("yarn").resolve(made.window).rope(own, 2 * made.window).inv_freq_F / own.inv_freq_F
    turns_F = own.inv_freq_F * made.window / (2 * math.pi)
    torch.testing.assert_close(change_F[turns_F > 32], torch.ones(int((turns_F > 32).sum())))
    torch.testing.assert_close(change_F[turns_F < 1], torch.full((int((turns_F < 1).sum()),), 0.25))
    step_F = change_F[(turns_F <= 32) & (turns_F >= 1)].diff().diff()
    assert (turns_F < 1).any() and (step_F.abs() < 1e-5).all(), "a line between the two"


def test_a_scaled_model_is_read_on_with_a_larger_base() -> None:
    """Whatever its scaled frequencies look like: the bases of these would be 21,000 and 2,560,000."""
    ids = random_ids(300, vocabulary=100)
    with Model(FAMILIES["phi3-longrope"](), tokenizer(), "long").session("abf(base=20000)") as session:
        assert session.logits(ids).isfinite().all() and not session.counts.exact


@pytest.mark.parametrize("method", ["abf", "entropy_abf"])
def test_a_base_that_no_configuration_says_is_not_guessed(method: str) -> None:
    with pytest.raises(MethodError, match="does not say its rotary base"):
        methods.parse(method).resolve(WINDOW).rope(Rope(torch.tensor(powers(16))), 2 * WINDOW)


@pytest.fixture(scope="module")
def model() -> Model:
    """The tiny model, in which positions matter."""
    return Model(llama(), tokenizer(), "tiny")


CONFIGURED = {
    "pi(when=always)": {"rope_type": "linear", "factor": 4.0},
    "pi(factor=1.5, when=always)": {"rope_type": "linear", "factor": 1.5},
    "yarn(when=always)": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": WINDOW},
    "ntk(when=always)": {"rope_type": "default", "rope_theta": BASE * 4 ** (16 / 14)},
    "abf(when=always)": {"rope_type": "default", "rope_theta": 500000.0},
}


@pytest.mark.parametrize("method", CONFIGURED)
def test_a_stream_is_what_a_model_of_that_kind_computes(model: Model, method: str) -> None:
    ids = random_ids(2 * WINDOW + 7)
    wanted = eager(llama(rope_parameters={"rope_theta": BASE, **CONFIGURED[method]}), ids)
    with model.session(method, chunk=50) as session:
        session.read(ids[:20])
        assert not session.counts.exact
        assert (session.logits(ids[20:]) - wanted[20:]).abs().max() <= 2e-5
        assert not session.counts.exact
    assert (wanted - eager(llama(), ids)).abs().max() > 0.05


def test_keys_of_all_times_are_turned_by_the_base_of_the_moment() -> None:
    """With one layer the last chunk is what a model gives that reads the whole text at once."""
    ids = random_ids(3 * WINDOW + 7)
    dynamic = {"rope_type": "dynamic", "rope_theta": BASE, "factor": 1.0}
    wanted = eager(llama(num_hidden_layers=1, rope_parameters=dynamic), ids)[-7:]
    with Model(llama(num_hidden_layers=1), tokenizer(), "one").session("dynamic_ntk", chunk=WINDOW) as session:
        logits = session.logits(ids)[-7:]
    assert (logits - wanted).abs().max() <= 2e-5
    assert (wanted - eager(llama(num_hidden_layers=1), ids)[-7:]).abs().max() > 0.05


@pytest.mark.parametrize(
    "method", ["quest(positions=true, when=both, dense_layers=0, token_budget=900)", "h2o(positions=true)"]
)
def test_where_distances_stay_true_the_whole_length_counts(model: Model, method: str) -> None:
    ids = random_ids(3 * WINDOW)
    found = []
    for frequencies in ("", "dynamic_ntk + "):
        with model.session(frequencies + method, chunk=50) as session:
            found.append(session.logits(ids))
    assert (found[1] - found[0])[:WINDOW].abs().max() <= 2e-5
    assert (found[1] - found[0])[-WINDOW:].abs().max() > 0.01


@pytest.mark.parametrize(("method", "base"), [("abf", 1e6), ("entropy_abf", 500000.0), ("abf(base=2000)+infllm", 1e4)])
def test_a_base_that_is_no_larger_than_the_model_s_is_refused(method: str, base: float) -> None:
    large = Model(llama(num_hidden_layers=1, rope_parameters={"rope_type": "default", "rope_theta": base}), tokenizer())
    with pytest.raises(MethodError, match=f"the model's own, which is {base:,.0f}") as caught:
        large.session(method)
    assert f"base={50 * base:.0f}" in str(caught.value.fix)


@pytest.mark.parametrize("method", ["yarn", "entropy_abf", "giraffe_truncated", "self_extend"])
def test_counts_say_when_angles_have_changed(model: Model, method: str) -> None:
    """The token that no longer fits, and not one before; a chunk never lies on both sides."""
    ids = random_ids(WINDOW + 1)
    with model.session(method, chunk=50) as session:
        logits = session.logits(ids[:-1])
        assert session.counts.exact
        assert (logits - eager(llama(), ids)[:-1]).abs().max() <= 1e-5
        last = session.logits(ids[-1:])
        assert not session.counts.exact
    with model.session(method, chunk=50) as session:
        assert (session.logits(ids)[-1] - last[0]).abs().max() <= 1e-5


class Everything:
    """Every key, at its own distance."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """All that came before."""
        return [true(span(0, token + 1), token)]


class Sharpened(Brute):
    """Entropy-ABF from the first token: the queries of the third layer and later are longer, the later they come."""

    def __init__(self, hosted: Any, index: int) -> None:
        super().__init__(hosted, index, Everything())
        self.index = index
        self.rope = Rope(torch.tensor(powers(16, 500000.0)))

    def _answer(self, head: int, token: int, q_D: Tensor, scaling: float) -> Tensor:
        factor = max(1.0, math.log(token + 1) / math.log(48)) if self.index >= 2 else 1.0
        return super()._answer(head, token, q_D * factor, scaling)


def test_entropy_abf_sharpens_late_queries_of_late_layers() -> None:
    ids = random_ids(130)
    deep = Model(llama(max_position_embeddings=48, num_hidden_layers=3), tokenizer(), "deep")
    wanted = stream(deep.hosted, [Sharpened(deep.hosted, fact.index) for fact in deep.hosted.facts], ids, 130)
    for chunk in (7, 48):
        with deep.session("entropy_abf(when=always)", chunk=chunk) as session:
            torch.testing.assert_close(session.logits(ids), wanted, atol=2e-5, rtol=0)
    with deep.session("abf(when=always)") as session:
        difference = (session.logits(ids) - wanted).abs().amax(1)
    assert difference[:48].max() <= 2e-5 and difference[48:].max() > 1e-3


def test_under_a_method_that_forgets_queries_are_sharpened_for_what_they_meet() -> None:
    part = methods.parse("entropy_abf").resolve(64).frequencies
    assert part.sharpness(1, torch.tensor([4096])) is None
    sharp_T = part.sharpness(2, torch.tensor([1, 64, 4096]))
    assert sharp_T is not None
    torch.testing.assert_close(sharp_T, torch.tensor([1.0, 1.0, 2.0]))
    ids = random_ids(300)
    small = {"max_position_embeddings": 16, "num_hidden_layers": 3}
    deep = Model(llama(**small), tokenizer(), "deep")
    with deep.session("entropy_abf(factor=2, when=always)+streaming", chunk=16) as session:
        logits = session.logits(ids)
    plan = methods.parse("entropy_abf(factor=2)+streaming").resolve(16)
    assert plan.sinks + plan.window == plan.dense == 32
    handlers = [Windowed(deep.hosted, fact.index) for fact in deep.hosted.facts]
    torch.testing.assert_close(logits, stream(deep.hosted, handlers, ids, 16), atol=2e-5, rtol=0)


def test_what_is_expected_of_queries_is_learnt_from_sharpened_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of three layers has the same queries under both methods, and under one of them they are sharpened."""
    noted: list[Tensor] = []

    def spy(part: ExpectedAttention, notes: Notes, q_HTD: Tensor) -> Notes:
        noted.append(q_HTD)
        return after(part, notes, q_HTD)

    after = ExpectedAttention.after_queries
    monkeypatch.setattr(ExpectedAttention, "after_queries", spy)
    deep = Model(llama(max_position_embeddings=16, num_hidden_layers=3), tokenizer(), "deep")
    found = []
    for name in ("abf", "entropy_abf"):
        with deep.session(f"{name}(factor=4, when=always)+expected_attention(capacity=64)", chunk=8) as session:
            session.read(random_ids(56))
            found.append(torch.cat(noted[2::3], 1))
            noted.clear()
    factor_T = (torch.arange(1, 57).log() / math.log(16)).clamp(min=1)
    torch.testing.assert_close(found[1], found[0] * factor_T[:, None])


class Windowed(Sharpened):
    """The same over a cache of 32 tokens."""

    def __init__(self, hosted: Any, index: int) -> None:
        super().__init__(hosted, index)
        self.rule = Streaming(4, 28)

    def _answer(self, head: int, token: int, q_D: Tensor, scaling: float) -> Tensor:
        factor = max(1.0, math.log(min(32, token + 1)) / math.log(16)) if self.index >= 2 else 1.0
        return Brute._answer(self, head, token, q_D * factor, scaling)


@dataclass
class Grouped:
    """Self-Extend as its paper has it; everything as it is while the chunk ends inside the trained window."""

    trained: int
    window: int
    group: int

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """Neighbours at their distances, the others in groups."""
        if token < self.trained:
            return [true(span(0, token + 1), token)]
        far = span(0, token - self.window + 1)
        moved = token // self.group + self.window - self.window // self.group
        return [true(span(token - self.window + 1, token + 1), token), Keys(far, far // self.group, moved)]


@pytest.mark.parametrize(("window", "group"), [(12, 4), (20, 3), (5, 7)])
@pytest.mark.parametrize("chunk", [1, 7, 48])
def test_self_extend_groups_what_is_far(window: int, group: int, chunk: int) -> None:
    ids = different_ids(130, seed=3)
    small = Model(llama(max_position_embeddings=48), tokenizer(), "small")
    wanted = reference(small.hosted, lambda: Grouped(48, window, group), ids, 130)
    method = f"self_extend(group={group}, window={window})"
    for budget in (None, least_budget(lambda budget: small.session(method, budget, chunk=chunk))):
        with small.session(method, budget, chunk=chunk) as session:
            logits, counts = session.logits(ids), session.counts
        if budget is None:
            torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
        else:  # with less room grouping begins as soon as there are more tokens than neighbours
            assert counts.stored > 0
            assert (logits[:window] - wanted[:window]).abs().max() <= 2e-5
    assert not counts.exact and counts.dropped == 0
    assert (wanted - eager(llama(max_position_embeddings=48), ids))[48:].abs().max() > 0.05


def test_self_extend_has_the_authors_numbers() -> None:
    plan = methods.parse("self_extend").resolve(4096)
    assert (plan.window, plan.dense) == (1024, 4096)
    at, reach = torch.tensor([13311]), torch.tensor([1024])
    assert int(plan.positions.queries(at, 0, reach)) <= 4095
    assert int(plan.positions.queries(at + 4, 0, reach)) == 4096


@pytest.mark.parametrize("method", ["full", "yarn(factor=4)", "pi(factor=3, when=always)"])
def test_where_the_budget_is_small_less_than_the_window_lies_at_hand(method: str) -> None:
    ids = different_ids(230, seed=3)
    small = Model(llama(max_position_embeddings=48), tokenizer(), "small")
    budget = least_budget(lambda budget: small.session(method, budget, chunk=4))
    assert budget < 48 * small.kv_bytes_per_token
    with small.session(method, chunk=4) as whole, small.session(method, budget, chunk=4) as session:
        torch.testing.assert_close(session.logits(ids), whole.logits(ids), atol=2e-5, rtol=0)
        assert session.counts.exact == whole.counts.exact and session.counts.dropped == 0
        assert session.counts.kept < 48


def test_recall_and_frequencies_compose() -> None:
    """Blocks, window and lookups follow the stretched window; angles are YaRN's beyond the trained one."""
    plan = methods.parse("yarn(factor=2)+infllm").resolve(4096)
    assert plan == methods.parse("infllm | yarn(factor=2)").resolve(4096)
    assert (plan.window, plan.dense, plan.frequencies.begins) == (4096, 8192, 4096)
    assert methods.parse("yarn+streaming").resolve(4096).window == 4 * 4096 - 4
    ids = different_ids(144, seed=3)
    small = Model(llama(max_position_embeddings=24), tokenizer(), "small")
    handlers = brutes(small.hosted, [InfLLM(48, 3, 20, 5, 4) for _ in small.hosted.facts])
    for handler in handlers:
        inv_freq_F, scaling = theirs("yarn", 24, 16, 0, factor=2.0)
        handler.rope = Rope(inv_freq_F, scaling)
    wanted = stream(small.hosted, handlers, ids, 6)
    method = "yarn(factor=2, when=always)+infllm(n_init=3, n_local=20, block=5, top_k=4)"
    with small.session(method, chunk=6) as session:
        torch.testing.assert_close(session.logits(ids), wanted, atol=2e-5, rtol=0)
        assert session.counts.fetched > 0


def test_sliding_layers_keep_their_angles() -> None:
    model = Model(FAMILIES["gemma3"](), tokenizer(), "gemma3")
    with model.session("pi") as session:
        session.read(random_ids(300, vocabulary=100))
        layers = session._stream.kv.layers
        own = {layer.facts.index: model.hosted.rope(layer.facts.index, 300) for layer in layers}
        kept = {layer.facts.index for layer in layers if layer.rope is own[layer.facts.index]}
        assert kept == {layer.facts.index for layer in layers if layer.facts.sliding_window is not None} != set(own)


def test_two_kinds_of_frequencies_are_one_too_many() -> None:
    with pytest.raises(MethodError, match="both choose the frequencies"):
        methods.parse("yarn+pi")
