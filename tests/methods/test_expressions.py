"""Methods as values and as text: what composes, what is refused, and that every one describes itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
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
    "squeezed.positions": st.just("true"),
    "kernel_size": st.sampled_from([1, 3, 5, 7]),
    "heads": st.sampled_from(["shared", "own"]),
    "refinement": st.sampled_from(["none", "modularity", "conductance"]),
    "profile": st.sampled_from(["heads.json", "my 'own'/heads.json"]),
}
BEYOND = st.sampled_from(["beyond", "always"])
HEAD_SETS = st.sampled_from(["all", "0:1", "3:17,7;8:28"])


def values(name: str, key: str) -> st.SearchStrategy[Any]:
    """What a keyword takes."""
    default, numbers = methods.describe(name).defaults[key], methods.get(name).numbers.get(key)
    if default in ("beyond", "all"):
        return BEYOND if default == "beyond" else HEAD_SETS
    if numbers is None or key in KEYWORDS:
        return KEYWORDS.get(f"{name}.{key}") or KEYWORDS[key]
    least, most = int(numbers.least), int(numbers.most)
    whole = st.integers(least, most).filter(numbers.__contains__)
    parts = st.floats(least, most, exclude_min=numbers.above, exclude_max=numbers.below).filter(numbers.__contains__)
    return st.one_of(whole, parts) if isinstance(default, float) and most > 1 else parts if most == 1 else whole


@st.composite
def calls(draw: st.DrawFn) -> methods.Method:
    """Any method with any keywords that it takes."""
    name = draw(st.sampled_from(NAMES))
    defaults = methods.describe(name).defaults
    keys = draw(st.sets(st.sampled_from(sorted(defaults)))) if defaults else set()
    given_ = {key: draw(values(name, key)) for key in sorted(keys)}
    assume(given_.get("beta_slow", 1) < given_.get("beta_fast", 32))
    return methods.get(name)(**given_)


@settings(max_examples=100, deadline=None)
@given(method=calls(), window=st.integers(1, 10**6))
def test_a_method_comes_back_from_its_text_and_fills_in_its_numbers(method: methods.Method, window: int) -> None:
    assert methods.parse(str(method)) == method
    try:
        plan = method.resolve(window)
    except MethodError as error:
        assert any(word in str(error) for word in ("capacity", "no event has", "clusters"))
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
    "infllm(top_k=0)": "try top_k=16",
    "low_rank(rank=0)": "leave rank out",
    "em_llm(contiguity=1.0)": "try contiguity=0.3",
    "em_llm(contiguity=-0.5)": "try contiguity=0.3",
    "em_llm(surprisal_threshold_gamma=1e400)": "",
    "pi(factor=0)": "try factor=4.0",
    "pi(factor=-2.5)": "",
    "pi(factor=1e999)": "",
    "pi(factor=0.5)": "try factor=4.0",
    "pi(factor=True)": "",
    "pi(factor=many)": "",
    "pi(when=both)": "known: always, beyond",
    "abf(base=0.5)": "try base=500000",
    "yarn(beta_fast=1e9)": "try beta_fast=32",
    "yarn(beta_slow=40.0)": "the smaller number",
    "em_llm(max_block_size=1)": "leave max_block_size out",
    "hyper_attention(lsh_num_projs=31)": "try lsh_num_projs=7",
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
    assert REFUSED[text] in caught.value.fix and caught.value.fix
    assert "\n" not in str(caught.value)


NUMBERS = [(name, key) for name in NAMES for key in methods.get(name).numbers]


@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_whatever_number_a_keyword_does_not_take_its_bounds_are_said_the_same(name: str, key: str) -> None:
    method, said = methods.get(name), set()
    default = method.defaults[key]
    assert default is None or default in method.numbers[key]
    for wrong in (-1, -(10**30), 10**30, True, "many", float("nan"), float("inf")):
        with pytest.raises(MethodError) as caught:
            method(**{key: wrong})
        said.add(str(caught.value).partition(": ")[2])
    (sentence,) = said
    assert str(method.numbers[key]) in sentence and "; " in sentence


def test_bounds_are_written_as_they_are_meant() -> None:
    written = {
        "topk(top_k=-1)": "a whole number from 1 to 1,000,000,000; try top_k=8",
        "low_rank(rank=0)": "a whole number from 1 to 1,000,000,000; leave rank out",
        "yarn(factor=-1)": "a number from 1 to 1,000,000; try factor=4.0",
        "yarn(factor=0)": "a number from 1 to 1,000,000; try factor=4.0",
        "yarn(beta_slow=0)": "a number from 0.001 to 1,000,000; try beta_slow=1.0",
        "pyramidkv(beta=0)": "a number from 1 to 1,000,000,000; try beta=20.0",
        "squeezed(clusters=1)": "a number from 0, below 1; try clusters=0.05",
        "think(ratio=1)": "a number above 0, below 1; try ratio=0.4",
        "pasta(alpha=0)": "a number above 0, at most 1; try alpha=0.01",
        "pasta(heads=3)": "a word; try heads='all'",
        "snapkv(kernel_size=4)": "as many neighbours on either side; try kernel_size=5",
    }
    for text, sentence in written.items():
        with pytest.raises(MethodError) as caught:
            methods.parse(text)
        assert sentence in str(caught.value)


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
