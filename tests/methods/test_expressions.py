"""Methods as values and as text: what composes, what is refused, and that every one describes itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farspan import methods
from farspan.errors import MethodError
from farspan.methods.parts.method import AXES

NAMES = methods.names()
OVERFLOW = {"exact", "recalls", "compresses", "re-reads", "forgets"}


def test_the_methods_are_these() -> None:
    assert (
        "abf actqkv autopasta duo_attention dynamic_ntk em_llm entropy_abf expected_attention full giraffe_power "
        "giraffe_truncated h2o hip hyper_attention infllm int4 int8 keydiff knorm lm_infinite longheads low_rank "
        "ntk pasta pi pyramidkv quest retrolm self_extend shadowkv sirllm snapkv squeezed streaming think topk "
        "tova yarn"
    ).split() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_method_describes_itself(name: str) -> None:
    card = methods.describe(name)
    assert card.name == name and card.paper and card.overflow in OVERFLOW
    assert len(card.idea) > 40 and "\n" not in card.idea
    assert set(card.parts) <= set(AXES)
    assert set(card.parts) == set(dict(methods.get(name)().terms[0].parts))
    assert json.loads(json.dumps(card.as_dict()))["defaults"] == card.defaults


@pytest.mark.parametrize("name", NAMES)
def test_a_default_given_is_a_default(name: str) -> None:
    given_ = {key: value for key, value in methods.describe(name).defaults.items() if value is not None}
    assert methods.get(name)(**given_) == methods.parse(name)
    assert methods.parse(name).resolve(1024) == methods.get(name)(**given_).resolve(1024)


def test_full_is_the_default_of_every_axis() -> None:
    assert methods.Method().resolve(512) == methods.parse("full").resolve(512)


def test_text_is_the_same_as_calling() -> None:
    parsed = methods.parse(' infllm( top_k=3, positions = compact,when="both") ')
    assert parsed == methods.get("infllm")(top_k=3, positions="compact", when="both")
    assert str(parsed) == "infllm(top_k=3, positions='compact')"
    assert methods.parse(parsed) is parsed


KEYWORDS: dict[str, st.SearchStrategy[Any]] = {
    "when": st.sampled_from(["reading", "answering", "both"]),
    "positions": st.just("compact"),
    "kernel_size": st.sampled_from([1, 3, 5, 7]),
    "heads": st.sampled_from(["shared", "own"]),
    "refinement": st.sampled_from(["none", "modularity", "conductance"]),
    "contiguity": st.floats(0, 0.9),
    "surprisal_threshold_gamma": st.floats(0, 10),
    "ratio": st.floats(0.01, 0.99),
    "dense_layers": st.integers(0, 99),
    "profile": st.sampled_from(["heads.json", "my 'own'/heads.json"]),
    "sparsity": st.floats(0, 1),
    "lsh_num_projs": st.integers(1, 30),
    "alpha": st.floats(0.001, 1),
}
BEYOND = st.sampled_from(["beyond", "always"])
HEAD_SETS = st.sampled_from(["all", "0:1", "3:17,7;8:28"])


def values(key: str, default: object) -> st.SearchStrategy[Any]:
    """What a keyword with this default takes."""
    if isinstance(default, float) and key not in KEYWORDS:
        return st.one_of(st.integers(1, 10**6), st.floats(1, 10**6))
    if default in ("beyond", "all"):
        return BEYOND if default == "beyond" else HEAD_SETS
    return KEYWORDS.get(key, st.integers(1, 10**6))


@st.composite
def calls(draw: st.DrawFn) -> methods.Method:
    """Any method with any keywords that it takes."""
    name = draw(st.sampled_from(NAMES))
    defaults = methods.describe(name).defaults
    keys = draw(st.sets(st.sampled_from(sorted(defaults)))) if defaults else set()
    return methods.get(name)(**{key: draw(values(key, defaults[key])) for key in sorted(keys)})


@settings(max_examples=100, deadline=None)
@given(method=calls(), window=st.integers(1, 10**6))
def test_a_method_comes_back_from_its_text_and_fills_in_its_numbers(method: methods.Method, window: int) -> None:
    assert methods.parse(str(method)) == method
    try:
        plan = method.resolve(window)
    except MethodError as error:
        assert "capacity" in str(error)
        return
    assert plan == methods.parse(str(method)).resolve(window)
    assert plan.sinks >= 0 and plan.window >= 1 and plan.block >= 1
    assert plan.dense >= plan.sinks + plan.window


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("window", [1, 7, 128, 1024, 131_072])
def test_defaults_fit_the_window(name: str, window: int) -> None:
    """Nothing that is attended to at its true position is further away than was trained."""
    plan = methods.parse(name).resolve(window)
    stretched = plan.frequencies.window(window)
    assert window <= stretched <= 8 * window
    if window >= 16:
        assert plan.sinks + plan.window <= stretched
        assert plan.dense <= stretched


def test_the_papers_numbers() -> None:
    plans = {name: methods.parse(name).resolve(4096) for name in NAMES}
    assert (plans["streaming"].sinks, plans["streaming"].window) == (4, 4092)
    assert plans["lm_infinite"].sinks == 10
    assert (plans["infllm"].sinks, plans["infllm"].window, plans["infllm"].block) == (128, 2048, 128)
    defaults = methods.describe("infllm").defaults
    assert (defaults["top_k"], defaults["repr_top_k"]) == (16, 4)
    assert plans["infllm"].select.cadence(answering=False) == 512


def test_composing_takes_the_parts_of_both() -> None:
    full, streaming = methods.Method(), methods.parse("streaming")
    assert (full | streaming).resolve(128) == streaming.resolve(128) == (streaming | full).resolve(128)
    assert (streaming | streaming).parts == streaming.parts
    assert str(methods.parse(str(full | streaming))) == str(full | streaming)


@pytest.mark.parametrize("text", ["infllm+streaming", "streaming | topk(top_k=2)", "full+lm_infinite"])
def test_two_that_choose_the_same_axis_are_named(text: str) -> None:
    left, right = (part.strip() for part in text.replace("|", "+").split("+"))
    with pytest.raises(MethodError) as caught:
        methods.parse(text)
    assert left in caught.value.message and right in caught.value.message
    assert "keep" in caught.value.message and caught.value.fix


REFUSED = {
    "infllmm": "did you mean 'infllm'",
    "steaming(start_size=4)": "did you mean 'streaming'",
    "infllm(topk=3)": "did you mean 'top_k'",
    "streaming(recent=3)": "did you mean 'recent_size'",
    "infllm(positions=compakt)": "did you mean 'compact'",
    "topk(when='reeding')": "did you mean 'reading'",
    "full(top_k=2)": "",
    "infllm(top_k=0)": "",
    "em_llm(contiguity=1.0)": "a share",
    "em_llm(contiguity=-0.5)": "",
    "em_llm(surprisal_threshold_gamma=1e400)": "",
    "pi(factor=0)": "",
    "pi(factor=-2.5)": "",
    "pi(factor=1e999)": "",
    "pi(factor=0.5)": "give 1 to",
    "pi(factor=True)": "",
    "pi(factor=many)": "",
    "pi(when=both)": "known: always, beyond",
    "abf(base=0.5)": "such as 500000",
    "yarn(beta_fast=1e9)": "or less",
    "yarn(beta_slow=40.0)": "the smaller number",
    "em_llm(max_block_size=1)": "2 or more",
    "hyper_attention(lsh_num_projs=31)": "or less",
    "pasta(heads=most)": "layers with their heads",
    "autopasta(alpha=0.0)": "try alpha",
    "hyper_attention+pasta": "use one of them",
    "infllm(top_k=-1)": "",
    "infllm(top_k=1.5)": "",
    "infllm(top_k=True)": "",
    "infllm(top_k=many)": "",
    "infllm(top_k=1+1)": "",
    "infllm(positions=3)": "",
    "infllm(3)": "write a name",
    "infllm(*x)": "write a name",
    "infllm(**x)": "",
    "infllm(top_k=1, top_k=2)": "leave one of them out",
    "infllm(top_k=__import__('os').getpid())": "write a name",
    "infllm(top_k={[]: 1})": "",
    "infllm-streaming": "write a name",
    "methods.full": "write a name",
    "": "write a name",
    "infllm(": "write a name",
    "full\0": "write a name",
    "3": "write a name",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_method_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(MethodError) as caught:
        methods.parse(text)
    assert caught.value.exit_code == 2
    assert REFUSED[text] in caught.value.fix
    assert "\n" not in str(caught.value)


PIECES = st.sampled_from(
    [*NAMES, "(", ")", "=", "+", "|", ",", "top_k", "3", "'x'", "x", " ", "*", "**x", "[", "]", "."]
)


@settings(max_examples=200, deadline=None)
@given(text=st.one_of(st.text(max_size=20), st.lists(PIECES, max_size=10).map("".join)))
@example("infllm(" * 300)
@example("-" * 5000 + "1")
@example("\ud800")
def test_any_text_is_a_method_or_a_method_error(text: str) -> None:
    try:
        assert isinstance(methods.parse(text), methods.Method)
    except MethodError as error:
        assert error.message


def test_a_codec_needs_something_stored() -> None:
    for text in ("snapkv+int8", "int8+streaming", "yarn+think+h2o"):
        with pytest.raises(MethodError, match="stores nothing") as error:
            methods.parse(text)
        assert all(name in str(error.value) for name in text.split("+")[-2:])
