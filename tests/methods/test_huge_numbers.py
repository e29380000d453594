"""Whatever number a keyword is given: the budget holds, or one error says what that would take."""

from __future__ import annotations

from functools import cache

import pytest

from farspan import methods, readers
from farspan.errors import BudgetError, MethodError
from farspan.methods.parts.numbers import Numbers
from farspan.types import Budget
from tests.methods.meter import Meter
from tests.tiny import HEADS, model

TEXT = "the key is in the sea and the other. " * 9
SIZE = 1 << 20
FACTORIES = {name: methods.get(name) for name in methods.names()} | {
    name: readers.get(name) for name in readers.names()
}
NUMBERS = [(name, key) for name, factory in FACTORIES.items() for key in factory.numbers]


def peak(method: str, budget: Budget) -> int:
    """The most bytes of all tensors while a session reads and answers."""
    with Meter() as meter, readers.begin_session(model(), method, budget) as session:
        session.read(TEXT)
        session.ask("where is it", max_new_tokens=2).text  # noqa: B018
    return meter.peak


def most(numbers: Numbers) -> float:
    """The largest number that a keyword takes, odd where it is whole."""
    whole = numbers.most > 1
    return (int(numbers.most) - (numbers.most % 2 == 0)) if whole else numbers.most - (1e-6 if numbers.below else 0)


def written(name: str, key: str, value: float) -> str:
    """A method with one keyword, and a profile of the heads where one is needed."""
    given = {"profile": repr(str(HEADS))} if FACTORIES[name].required else {}
    return f"{name}({', '.join(f'{key}={value}' for key, value in {**given, key: value}.items())})"


@pytest.mark.parametrize(("name", "key"), NUMBERS)
def test_the_largest_number_that_a_keyword_takes_stays_within_the_budget_or_is_refused(name: str, key: str) -> None:
    try:
        found = peak(written(name, key, most(FACTORIES[name].numbers[key])), Budget(SIZE))
    except (BudgetError, MethodError) as error:
        assert error.fix
    else:
        assert found <= 2 * SIZE


@cache
def usual(name: str) -> int:
    return peak(name, Budget(SIZE))


@pytest.mark.parametrize("method", ["topk(top_k=3000000)", "int4(group=4096)", "int8(group=4096)"])
def test_what_is_more_than_all_there_is_takes_no_memory(method: str) -> None:
    assert peak(method, Budget(SIZE)) <= usual(method.partition("(")[0]) + SIZE


@pytest.mark.parametrize("name", ["h2o", "knorm", "snapkv", "sirllm"])
def test_a_capacity_that_no_budget_pays_for_is_as_much_as_this_one_does(name: str) -> None:
    with model().session(f"{name}(capacity=1000000000)", Budget(SIZE)) as session:
        session.read(TEXT * 9)
        assert SIZE / 4 <= session.counts.kv_bytes["device"] <= SIZE


@pytest.mark.parametrize("method", ["snapkv(window_size=999999999)", "topk(block=999999999)"])
def test_without_a_budget_what_the_machine_has_not_got_is_refused_before_it_is_taken(method: str) -> None:
    with pytest.raises(BudgetError, match=r"before anything is read, and the machine has [\d.]+GiB"):
        model().session(method)


def test_clusters_that_have_no_number_are_refused() -> None:
    with pytest.raises(MethodError, match="32,767 are the most"):
        model().session("squeezed(segment=1000000)")
