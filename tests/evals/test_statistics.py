"""Intervals and tests: against published tables, hand-worked cases, scipy, and simulated truth."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from farspan.evals import statistics

GROUPS = st.lists(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=5), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_figures_of_newcombe_1998(hits: int, count: int, low: float, high: float) -> None:
    found = statistics.wilson(hits / count, count)
    assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 400), st.data())
def test_wilson_is_that_of_scipy(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    expected = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert statistics.wilson(hits / count, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_question_a_context_counts_fully() -> None:
    groups = [[1.0]] * 8 + [[0.0]] * 2
    assert statistics.worth(groups) == 10
    assert statistics.interval(groups) == statistics.wilson(0.8, 10)


def test_worth_worked_by_hand() -> None:
    """Three contexts: all right, all wrong, half right. Means of contexts vary twice as much as those of questions."""
    groups = [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]]
    variance = 3 / 2 * (1 + 1 + 0) / 6**2
    alone = 6 / (variance * 6 / 0.25) * (1.959964 / 4.302653) ** 2
    with_another = 6 / (4 / 3 * 2 / 8**2 * 8 / 0.25) * (1.959964 / 3.182446) ** 2
    assert statistics.worth(groups) == pytest.approx(min(alone, with_another), rel=1e-5)


@given(GROUPS, st.randoms(use_true_random=False))
def test_the_order_changes_nothing(groups: list[list[float]], rng: random.Random) -> None:
    mixed = [rng.sample(group, len(group)) for group in rng.sample(groups, len(groups))]
    assert statistics.interval(mixed) == statistics.interval(groups)
    assert statistics.mean(mixed) == statistics.mean(groups)


@given(GROUPS)
def test_the_interval_holds_the_mean_and_is_no_narrower_than_wilsons(groups: list[list[float]]) -> None:
    low, high = statistics.interval(groups)
    share, count = statistics.mean(groups), sum(map(len, groups))
    plain = statistics.wilson(share, count)
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1
    assert high - low >= plain.high - plain.low - 1e-12


def test_partial_credit_that_varies_little_is_surer_than_right_and_wrong() -> None:
    partial = [[0.4, 0.6, 0.5, 0.5] for _ in range(20)]
    binary = [[0.0, 1.0, 0.0, 1.0] for _ in range(20)]
    assert statistics.mean(partial) == statistics.mean(binary) == 0.5
    width = [high - low for low, high in map(statistics.interval, (partial, binary))]
    assert width[0] < width[1] / 2


def test_all_right_is_not_certain() -> None:
    few, many = [[1.0] * 4] * 5, [[1.0] * 4] * 50
    assert 0.5 < statistics.interval(few).low < 0.8
    assert 0.93 < statistics.interval(many).low < 0.99


@pytest.mark.parametrize(("share", "together", "parts"), [(0.5, 0.3, 1), (0.9, 0.3, 1), (0.8, 0.0, 1), (0.7, 0.3, 4)])
def test_nineteen_of_twenty_intervals_hold_the_truth(share: float, together: float, parts: int) -> None:
    """Questions on a context hang together by a correlation; an interval that forgets it holds far less often."""
    rng, held, plain, runs = random.Random(7), 0, 0, 300
    for _ in range(runs):
        groups = drawn(rng, share, together, parts)
        low, high = statistics.interval(groups)
        held += low <= share <= high
        low, high = statistics.wilson(statistics.mean(groups), 100)
        plain += low <= share <= high
    assert held / runs >= 0.93
    if together and parts == 1:
        assert plain / runs < 0.88


def drawn(rng: random.Random, share: float, together: float, parts: int) -> list[list[float]]:
    """Twenty contexts of five questions, each the mean of `parts` right-or-wrong parts."""
    groups = []
    for _ in range(20):
        scale = (1 - together) / together if together else 0
        ability = rng.betavariate(share * scale, (1 - share) * scale) if together else share
        groups.append([sum(rng.random() < ability for _ in range(parts)) / parts for _ in range(5)])
    return groups


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(0, 0, 1.0), (5, 0, 2 / 32), (1, 5, 14 / 64), (10, 2, 2 * 79 / 4096), (3, 3, 1.0)]
)
def test_mcnemar_worked_by_hand(wins: int, losses: int, p: float) -> None:
    assert statistics.sign_test(wins, losses) == pytest.approx(p)
    assert statistics.sign_test(losses, wins) == pytest.approx(p)


def test_paired_worked_by_hand() -> None:
    groups = [[(1.0, 0.0), (1.0, 1.0)], [(0.0, 1.0), (1.0, 0.0)], [(1.0, 0.0), (0.0, 0.0)]]
    found = statistics.paired(groups)
    assert (found.pairs, found.contexts, found.wins, found.losses) == (6, 3, 1, 3)
    assert found.first == pytest.approx(4 / 6) and found.second == pytest.approx(2 / 6)
    assert found.difference == pytest.approx(-2 / 6)
    assert found.low <= found.difference <= found.high
    assert found.p == pytest.approx(2 / 4)  # the totals -1, 0, -1: two of four ways to sign them are as uneven
    assert statistics.paired(groups) == found


def test_the_difference_interval_holds_the_truth() -> None:
    rng, held, runs = random.Random(3), 0, 120
    for _ in range(runs):
        abilities = [rng.betavariate(3, 3) for _ in range(25)]
        groups = [
            [(float(rng.random() < able), float(rng.random() < able * 0.6)) for _ in range(4)] for able in abilities
        ]
        found = statistics.paired(groups)
        held += found.low <= -0.2 <= found.high
    assert 0.9 <= held / runs <= 1.0


def test_differences_that_are_all_the_same_are_not_certain() -> None:
    same = [[(1.0, 1.0)] * 4 for _ in range(20)]
    found = statistics.paired(same)
    assert found.high == -found.low == pytest.approx(statistics.wilson(0, 20).high)
    assert found.p == 1.0


def test_one_context_allows_anything() -> None:
    found = statistics.paired([[(1.0, 0.0), (1.0, 0.0)]])
    assert (found.low, found.high) == (-1.0, 1.0)


def test_detectable_worked_by_hand() -> None:
    gains = [[1.0]] * 10 + [[-1.0]] * 10 + [[0.0]] * 80
    assert statistics.detectable(gains) == pytest.approx(2.80159 * math.sqrt(100 / 99 * 20) / 100, rel=1e-4)
    assert statistics.detectable([[0.0]] * 100) == pytest.approx(2.80159 / 100, rel=1e-4)


def test_the_detectable_difference_is_found_in_four_of_five_runs() -> None:
    """80 single questions; the second method turns every fourth wrong answer right and never the other way."""
    rng, found, runs = random.Random(11), 0, 150
    gains = [[1.0]] * 14 + [[0.0]] * 66
    size = statistics.detectable(gains)
    for _ in range(runs):
        drawn_gains = [[float(rng.random() < size)] for _ in range(80)]
        found += statistics.gain_interval(drawn_gains).low > 0
    assert found / runs > 0.75


def test_holm_worked_by_hand() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.6, 0.9]) == [1.0, 1.0]
    assert statistics.holm([]) == []


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_keeps_the_order_and_never_lowers(values: list[float]) -> None:
    found = statistics.holm(values)
    assert all(new >= old for new, old in zip(found, values, strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [found[place] for place in order] == sorted(found)
