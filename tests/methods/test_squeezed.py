"""Squeezed Attention: its clusters, its threshold, and the whole method against a slow reference.

Shapes: H query heads, G KV heads, T tokens, N stretches, B tokens in a stretch, S keys, K clusters, D key width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan import methods
from farspan.attention.softmax import Scoring
from farspan.cache.columns import Rows
from farspan.engine import Model
from farspan.errors import MethodError
from farspan.methods.parts.index.key_clusters import KeyClusters
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select import share_threshold
from farspan.methods.parts.select.cluster_shares import by_query_head
from farspan.methods.parts.select.share_threshold import histogram, threshold
from farspan.types import Budget
from tests.methods.brute import Blocks, Brute, Keys, brutes, span, true
from tests.methods.stored import blocks, layer
from tests.tiny import different_ids, eager, llama, random_ids, stream, tokenizer

WINDOW, TOKENS = 48, 144


def grouped(k_SD: Tensor, clusters: int, rounds: int) -> list[list[int]]:
    """The keys of every cluster, one key at a time."""
    unit = [k_D / k_D.norm() for k_D in k_SD]
    centres: list[Tensor] = []
    for number in range(1, clusters + 1):
        odds = [min([1.0, *(max(0.0, 1 - float(k_D @ centre)) for centre in centres)]) for k_D in unit]
        drawn = number * (5**0.5 - 1) / 2 % 1 * sum(odds)
        upto = list(accumulate(odds))
        centres.append(unit[next((at for at, total in enumerate(upto) if total > drawn), len(unit) - 1)])
    groups: list[list[int]] = []
    for _ in range(rounds + 1):
        nearest = [max(range(clusters), key=lambda c, k=k_D: float(k @ centres[c])) for k_D in unit]
        groups = [[at for at, cluster in enumerate(nearest) if cluster == c] for c in range(clusters)]
        sums = [
            sum(unit[at] for at in group) if group else centre for group, centre in zip(groups, centres, strict=True)
        ]
        centres = [total / total.norm() for total in sums]
    return groups


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tokens=st.integers(2, 20),
    share=st.sampled_from([0.05, 0.2, 0.5]),
    rounds=st.integers(1, 6),
)
def test_clusters_are_those_of_k_means_by_hand(seed: int, tokens: int, share: float, rounds: int) -> None:
    torch.manual_seed(seed)
    index = KeyClusters(tokens, share, rounds)
    k_GNBD = torch.randn(2, 3, tokens, 5)
    rows = index.rows(blocks(k_GNBD))
    columns = {column.name: column for column in index.columns(layer(2, 5))}
    assert {name: (value.shape[2:], value.dtype) for name, value in rows.items()} == {
        name: (column.shape, column.dtype) for name, column in columns.items()
    }
    assert index.clusters == max(1, int(share * tokens))
    for head in range(2):
        for number in range(3):
            k_BD = k_GNBD[head, number]
            groups = grouped(k_BD, index.clusters, rounds)
            assert rows["members"][head, number].tolist() == [len(group) for group in groups]
            for cluster, group in enumerate(groups):
                assert (rows["cluster"][head, number] == cluster).nonzero()[:, 0].tolist() == group
                wanted = k_BD[group].mean(0) if group else torch.zeros(5)
                torch.testing.assert_close(rows["centroid"][head, number, cluster], wanted, atol=1e-5, rtol=0)


def test_keys_of_one_direction_are_one_cluster() -> None:
    """However long they are, and wherever they stand."""
    ways_3D = torch.eye(3, 6)
    which_B = torch.tensor([0, 1, 2, 0, 0, 2, 1, 1, 0, 2, 2, 1])
    k_BD = ways_3D[which_B] * (1 + torch.arange(12)).unsqueeze(1)
    rows = KeyClusters(12, 0.25).rows(blocks(k_BD[None, None]))
    cluster_B = rows["cluster"][0, 0]
    for way in range(3):
        assert cluster_B[which_B == way].unique().numel() == 1
    assert rows["members"][0, 0].tolist() == [4, 4, 4]


def least(pairs: list[tuple[float, int]], part: float) -> float:
    """The largest 32nd of an octave that so large a part of the keys reach, tried one after the other; 0 for all."""
    if part == 1:
        return 0.0
    total = sum(keys for _, keys in pairs)
    for step in range(1, 1280):
        edge = 2.0 ** (-step / 32)
        if sum(keys for share, keys in pairs if share >= edge) >= part * total:
            return edge
    return 0.0


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.floats(1e-9, 1.0), st.integers(0, 9)), min_size=1, max_size=30),
    part=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
)
def test_the_threshold_is_the_largest_that_enough_keys_reach(pairs: list[tuple[float, int]], part: float) -> None:
    pairs = [*pairs, (0.01, 1)]
    share, keys = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
    half = len(pairs) // 2
    found = threshold(histogram([(share[:half], keys[:half]), (share[half:], keys[half:])]), part)
    assert found == pytest.approx(least(pairs, part), rel=1e-12)


def test_shares_too_small_to_tell_are_kept_when_all_are() -> None:
    count = histogram([(torch.tensor([0.5, 1e-30, 0.0]), torch.ones(3))])
    assert threshold(count, 1.0) == 0.0 < threshold(count, 0.3) <= 0.5


@dataclass
class Squeezed(Blocks):
    """Keys by the share of their cluster; `record` has the shares of every layer, as they were last."""

    sparsity: float = 0.7
    clusters: int = 3
    layer: int = 0
    observed: int = 100
    record: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    coarse: int = 0
    coarse_sparsity: float = 0.5
    coarse_record: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    last: list[Tensor] = field(default_factory=list)

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Cluster every stretch, weigh the clusters, and choose for the chunk."""
        super().begin(brute, q_HTD, start)
        self.last = [*self.last, *q_HTD.unbind(1)][-self.observed :]
        if self.all_true or not self.count:
            return
        at_the_edge = brute.turn(torch.stack(self.last, 1), torch.full((len(self.last),), self.window))
        turned_HTD = brute.turn(q_HTD, torch.full((q_HTD.shape[1],), self.window))
        groups = [self.clustered(k_ND) for k_ND in brute.k_GND]
        again = [self.clustered_again(k_ND, own) for k_ND, own in zip(brute.k_GND, groups, strict=True)]
        edge = self.edge(brute, self.record, at_the_edge, [[[one] for one in own] for own in groups], self.sparsity)
        coarse_edge = (
            self.edge(brute, self.coarse_record, at_the_edge, again, self.coarse_sparsity) if self.coarse else 0
        )
        self.kept = []
        for head, q_TD in enumerate(turned_HTD):
            k_ND, near = brute.sought_GND[head // brute.group], groups[head // brute.group]
            if self.coarse:
                shares = self.weighed(q_TD, k_ND, again[head // brute.group])
                near = [group for share, own in shares if share >= coarse_edge for group in own]
            pairs = self.weighed(q_TD, k_ND, [[group] for group in near])
            self.kept.append(sorted(token for share, ((*own,),) in pairs if share >= edge for token in own))

    def edge(
        self,
        brute: Brute,
        record: dict[int, list[tuple[float, int]]],
        q_HTD: Tensor,
        groups: list[list[list[list[int]]]],
        sparsity: float,
    ) -> float:
        """The threshold by the last queries of all layers so far."""
        by_head = [
            self.weighed(q_TD, brute.sought_GND[head // brute.group], groups[head // brute.group])
            for head, q_TD in enumerate(q_HTD)
        ]
        record[self.layer] = [(share, sum(map(len, own))) for pairs in by_head for share, own in pairs]
        return least([pair for pairs in record.values() for pair in pairs], 1 - sparsity)

    def clustered_again(self, k_ND: Tensor, groups: list[list[int]]) -> list[list[list[int]]]:
        """The clusters of every cluster of clusters, stretch by stretch."""
        found = []
        for number in range(self.count if self.coarse else 0):
            own = [group for group in groups if self.begins(number) <= group[0] < self.begins(number + 1)]
            means = torch.stack([k_ND[group].mean(0) for group in own])
            found += [[own[at] for at in one] for one in grouped(means, self.coarse, 30) if one]
        return found

    def clustered(self, k_ND: Tensor) -> list[list[int]]:
        """The tokens of every cluster."""
        return [
            [self.begins(number) + at for at in group]
            for number in range(self.count)
            for group in grouped(k_ND[self.begins(number) : self.begins(number + 1)], self.clusters, 30)
            if group
        ]

    def weighed(self, q_TD: Tensor, k_ND: Tensor, groups: list[list[list[int]]]) -> list[tuple[float, list[list[int]]]]:
        """The mean share of what has one centroid, the mean of its clusters' means; each of its keys is counted."""
        if not groups:
            return []
        scale = q_TD.shape[-1] ** -0.5
        centroids = [torch.stack([k_ND[group].mean(0) for group in own]).mean(0) for own in groups]
        exp_TK = torch.stack([torch.exp(q_TD @ centroid * scale) for centroid in centroids], 1)
        total_T = sum(sum(map(len, own)) * exp_TK[:, at] for at, own in enumerate(groups))
        return list(zip((exp_TK / total_T[:, None]).mean(0).tolist(), groups, strict=True))

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """Sinks, kept keys, remainder and window."""
        if self.all_true:
            return [true(span(0, token + 1), token)]
        base = self.begins(self.count)
        local = max(base, token - self.window + 1)
        kept = torch.tensor(self.kept[head] if self.count else [], dtype=torch.long)
        far = torch.cat([span(0, self.sinks), kept, span(base, local)])
        return [true(span(local, token + 1), token), Keys(far, torch.zeros_like(far), self.window)]


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


SIZES = "n_init=3, n_local=20, segment=12, clusters=0.25, when=both"


@pytest.mark.parametrize(
    ("more", "rule", "chunk"),
    [
        ("", {}, 8),
        (", sparsity=0.4, observation_window=3", {"sparsity": 0.4, "observed": 3}, 8),
        (", observation_window=30", {"observed": 30}, 16),
        (", coarse_clusters=0.17", {"coarse": 2}, 8),
        (
            ", sparsity=0.2, coarse_clusters=0.17, coarse_sparsity=0.3",
            {"sparsity": 0.2, "coarse": 2, "coarse_sparsity": 0.3},
            8,
        ),
    ],
)
def test_the_method_is_what_its_paper_says(model: Model, more: str, rule: dict[str, Any], chunk: int) -> None:
    ids = different_ids(TOKENS, seed=3)
    shared: dict[str, Any] = {"record": {}, "coarse_record": {}, **rule}
    rules = [Squeezed(WINDOW, 3, 20, 12, 0, True, layer=fact.index, **shared) for fact in model.hosted.facts]
    wanted = stream(model.hosted, brutes(model.hosted, rules), ids, chunk)
    with model.session(f"squeezed({SIZES}{more})", chunk=chunk) as session:
        logits = session.logits(ids)
    torch.testing.assert_close(logits, wanted, atol=5e-5, rtol=0)
    beyond = eager(llama(max_position_embeddings=WINDOW), ids)[WINDOW:]
    assert (logits[WINDOW:] - beyond).abs().max() > 0.01, "this text does not tell the method from full attention"


@pytest.mark.parametrize("sparsity", [0.3, 0.8])
def test_an_answer_meets_the_part_that_the_text_was_read_for(
    model: Model, sparsity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threshold is that of reading: answering does not change it, and about the same part is met."""
    kept: list[float] = []
    module = "farspan.methods.parts.select.share_threshold"
    with model.session(f"squeezed(n_init=3, n_local=20, segment=12, clusters=0.25, sparsity={sparsity})") as session:
        session.read(random_ids(600))
        layers = session._stream.kv.layers
        before = [layer.carried["shares"] for layer in layers]
        edge = threshold(torch.stack(before).sum(0), 1 - sparsity)
        stored = layers[0].index.length * 12  # type: ignore[union-attr]
        monkeypatch.setattr(f"{module}.threshold", lambda count, part: kept.append(threshold(count, part)) or kept[-1])
        with session.fork() as forked:
            fetched = forked.counts.fetched
            forked.generate(random_ids(5, seed=1), max_new_tokens=6).text  # noqa: B018
            steps = len(kept) / len(layers)
            share = (forked.counts.fetched - fetched) / stored / steps
            assert set(kept) == {edge}
            for layer, noted in zip(forked._stream.kv.layers, before, strict=True):
                assert torch.equal(layer.carried["shares"], noted)
    assert share >= 0.8 * (1 - sparsity), "the keys that any head meets"


@pytest.mark.parametrize(("sparsity", "least", "most"), [(0.5, 0.25, 0.75), (0.0, 1.0, 1.0)])
@pytest.mark.parametrize("how", ["chat", "answer"])
def test_what_is_met_stays_a_part_of_all_where_nothing_is_read(
    model: Model, how: str, sparsity: float, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that grows by messages and answers alone: every key's share falls, and the threshold with it."""
    kept: list[float] = []

    def spy(search: Search, rows: Rows, keep_HnK: torch.Tensor) -> Iterator[Fetched]:
        cluster_HnB = by_query_head(rows["cluster"].long(), len(keep_HnK))
        kept.append(float(keep_HnK.gather(2, cluster_HnB).float().mean()))
        return fetched(search, rows, keep_HnK)

    fetched = share_threshold._kept
    monkeypatch.setattr(share_threshold, "_kept", spy)
    method = f"squeezed(n_init=3, n_local=20, segment=12, clusters=0.25, sparsity={sparsity})"
    with model.session(method, chunk=12) as session:
        turns, written = (12, 8) if how == "chat" else (1, 600)
        for turn in range(turns):
            session.put(random_ids(40, seed=turn))
            session.reply(max_new_tokens=written, ignore_eos=True).text  # noqa: B018
    late = kept[-len(kept) // 4 :]
    assert least <= sum(late) / len(late) <= most


def test_two_levels_compare_less(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what one level compares, a step of the same text looks at the coarse centroids and some of the others."""
    compared: list[int] = []
    logits = Scoring.logits

    def counted(self: Scoring, q_NMD: Tensor, k_NKD: Tensor, *rest: Any) -> Tensor:
        compared[-1] += k_NKD.shape[-2] * (len(k_NKD) if k_NKD.dim() == 3 else 1)
        return logits(self, q_NMD, k_NKD, *rest)

    for more in ("", ", coarse_clusters=0.05, coarse_sparsity=0.9"):
        with model.session(f"squeezed(n_init=3, n_local=20, segment=48, clusters=0.5{more})") as session:
            session.read(random_ids(600))
            compared.append(0)
            with monkeypatch.context() as patch:
                patch.setattr(Scoring, "logits", counted)
                session.generate(random_ids(1, seed=1), max_new_tokens=1).text  # noqa: B018
    assert 0 < compared[1] < 0.8 * compared[0]


def test_the_budget_bounds_what_is_stored_with_its_clusters(model: Model) -> None:
    method = "squeezed(n_init=3, n_local=20, segment=12, when=both)"
    with model.session(method, Budget(120_000, disk=0), chunk=8) as session:
        session.read(random_ids(1500))
        counts = session.counts
        layer = session._stream.kv.layers[0]
        assert counts.dropped and counts.kv_bytes["device"] <= 120_000
        assert layer.arena is not None and layer.index is not None
        start_1N = next(layer.index.scan(("start",), 1))[1]["start"]
        assert int(start_1N[0, 0]) >= layer.arena.first, "every stretch in the index is stored whole"


@pytest.mark.parametrize("wrong", ["sparsity=1", "sparsity=-0.5", "clusters=1.5", "segment=0", "positions=compact"])
def test_what_is_no_share_is_refused(wrong: str) -> None:
    with pytest.raises(MethodError):
        methods.parse(f"squeezed({wrong})")
