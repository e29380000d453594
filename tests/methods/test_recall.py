"""What is each recall method's own, against loops that were written from its paper.

Shapes: H query heads, G KV heads, T tokens, n blocks, B tokens in a block, D key width, X blocks fetched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.queries import Queries
from farspan.cache.arena import Arena, TierRows
from farspan.cache.columns import BlockShape
from farspan.engine import Model
from farspan.methods.parts.axes import Codec
from farspan.methods.parts.codec.pruned_channels import PrunedChannels
from farspan.methods.parts.codec.quantised import QuantisedBlocks
from farspan.methods.parts.codec.raw import RawBlocks
from farspan.methods.parts.decoding import Surroundings
from farspan.methods.parts.index.bounds import ChannelBounds
from farspan.methods.parts.searching import Search
from farspan.methods.parts.select.best_bounds import BestBounds
from farspan.methods.parts.select.ranking import single_keys
from farspan.methods.parts.select.tree_scan import TreeScan
from tests.methods.brute import Blocks, Brute, Keys, reference, true
from tests.methods.stored import answering_search, blocks, layer
from tests.tiny import different_ids, eager, llama, tokenizer

WINDOW, TOKENS = 48, 144
GROUP, WIDTH, BLOCK = 2, 8, 4


def bound(q_D: Tensor, k_BD: Tensor) -> float:
    """Quest's bound, channel by channel."""
    channels = zip(q_D.tolist(), k_BD.T.tolist(), strict=True)
    return sum(max(q * min(keys), q * max(keys)) for q, keys in channels)


@dataclass
class Quest(Blocks):
    """The pages with the highest bounds for this head and token; at true distances where `at_true`."""

    at_true: bool = False

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """By a loop over all pages."""
        turned_D = brute.turn(q_D[None], torch.tensor([self.window]))[0]
        k_ND = brute.sought_GND[head // brute.group]
        score = [bound(turned_D, k_ND[self.begins(page) : self.begins(page + 1)]) for page in range(self.count)]
        return sorted(range(self.count), key=lambda page: -score[page])[: self.top_k]

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """As all that fetch blocks, or everything where it stands."""
        met = super().meets(brute, head, token, q_D)
        return [true(keys.token_S, token) for keys in met] if self.at_true else met


@dataclass
class HiP(Blocks):
    """Three stages of halving for every head, over a text of whole chunks and what is left of it."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """One scan for the chunk."""
        super().begin(brute, q_HTD, start)
        if self.all_true or not self.count:
            return
        at_T = torch.full((q_HTD.shape[1],), self.window)
        turned_HTD = brute.turn(q_HTD, at_T)
        stored_GND = brute.sought_GND[:, self.sinks : self.begins(self.count)]
        self.chosen = [
            scanned(q_TD, stored_GND[head // brute.group], self.block, self.top_k)
            for head, q_TD in enumerate(turned_HTD)
        ]

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """What the chunk found."""
        return self.chosen[head]


def scanned(q_TD: Tensor | list[Tensor], k_ND: Tensor, block: int, top: int) -> list[int]:
    """The blocks that HiP's three stages end at, chunk by chunk; the stages may have queries of their own."""
    left, spans = 0, list[tuple[int, int]]()
    queries = q_TD if isinstance(q_TD, list) else [q_TD] * 3
    sizes = (32 * block, 16 * top, 4), (4 * block, 4 * top, 4), (block, top, 1)
    for (size, keep, stride), q_TD in zip(sizes, queries, strict=True):
        pooled = [q_TD[at : at + stride].mean(0) for at in range(0, len(q_TD), stride)]
        spans = [(at, at + size) for low, high in spans for at in range(low, high, size)]
        while left + size <= len(k_ND):
            spans.append((left, left + size))
            left += size
        spans.sort(key=lambda span: -halved(pooled, k_ND, *span))
        spans = sorted(spans[: max(1, keep * block // size)])
    return [low // block for low, _ in spans]


def halved(queries: list[Tensor], k_ND: Tensor, low: int, high: int) -> float:
    """The best score on the way down."""
    if high - low == 1:
        return max(float(q_D @ k_ND[low]) for q_D in queries)
    centre = (low + high) // 2
    halves = [(low, centre), (centre, high)]
    scores = [max(float(q_D @ k_ND[(a + b) // 2]) for q_D in queries) for a, b in halves]
    better = halves[0] if scores[0] > scores[1] else halves[1]
    return max(*scores, halved(queries, k_ND, *better)) if better[1] - better[0] > 1 else max(scores)


def searched(k_GnBD: Tensor, q_HTD: Tensor) -> Search:
    """A layer that stores these blocks, looked at by these queries."""
    heads, _, block, width = k_GnBD.shape
    shape, bounds = BlockShape(heads, block, width, width, torch.float32), ChannelBounds()
    arena, index = (
        Arena(columns, limits=TierRows(), device=torch.device("cpu"))
        for columns in (RawBlocks().columns(shape), bounds.columns(layer(heads, width)))
    )
    arena.append({"k": k_GnBD, "v": k_GnBD})
    index.append(bounds.rows(blocks(k_GnBD)))
    return answering_search(shape, RawBlocks(), arena, index, q_HTD)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), pages=st.integers(1, 6), piece=st.integers(1, 5))
def test_quest_fetches_the_pages_with_the_highest_bounds(seed: int, count: int, pages: int, piece: int) -> None:
    torch.manual_seed(seed)
    k_GnBD, q_HTD = torch.randn(GROUP, count, BLOCK, WIDTH), torch.randn(2 * GROUP, 3, WIDTH)
    search = searched(k_GnBD, q_HTD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("farspan.methods.parts.select.best_bounds._PIECE_PAGES", piece)
        (fetched,) = BestBounds(pages * BLOCK).segments(search)
    rows = iter(zip(fetched.rows_NX.tolist(), fetched.found.runs(BLOCK).k_NKD, strict=True))
    for head in range(2 * GROUP):
        for q_D in q_HTD[head]:
            scores = [bound(q_D, k_BD) for k_BD in k_GnBD[head // 2]]
            best = sorted(range(count), key=lambda page: -scores[page])[: max(3, pages)]
            found, k_SD = next(rows)
            assert found == sorted(best)
            assert torch.equal(k_SD, k_GnBD[head // 2, found].flatten(0, 1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(1e-3, 1e3))
def test_no_key_of_a_page_scores_above_its_bound(seed: int, size: float) -> None:
    torch.manual_seed(seed)
    k_GnBD, q_HTD = size * torch.randn(GROUP, 5, BLOCK, WIDTH), torch.randn(2 * GROUP, 3, WIDTH)
    ((_, bound_Nn),) = BestBounds(8)._scored(searched(k_GnBD, q_HTD))
    best_Nn = torch.einsum("grtd,gnbd->grtnb", q_HTD.unflatten(0, (GROUP, 2)), k_GnBD).amax(-1).reshape(-1, 5)
    assert (best_Nn <= bound_Nn + 1e-4 * size).all()
    single = searched(k_GnBD[:, :, :1], q_HTD)
    ((_, exact_Nn),) = BestBounds(8)._scored(single)
    keys_Nn = torch.einsum("grtd,gnd->grtn", q_HTD.unflatten(0, (GROUP, 2)), k_GnBD[:, :, 0]).reshape(-1, 5)
    torch.testing.assert_close(exact_Nn, keys_Nn, atol=1e-4 * size, rtol=1e-4)


def test_quest_takes_three_pages_at_least() -> None:
    (fetched,) = BestBounds(1).segments(searched(torch.randn(GROUP, 9, BLOCK, WIDTH), torch.randn(GROUP, 1, WIDTH)))
    assert fetched.rows_NX.shape == (GROUP, 3)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(1, 150),
    top=st.integers(1, 3),
    queries=st.integers(1, 9),
    piece=st.sampled_from([1, 12, 4096]),
)
def test_hip_finds_what_its_stages_find(seed: int, count: int, top: int, queries: int, piece: int) -> None:
    torch.manual_seed(seed)
    k_GnBD, q_HTD = torch.randn(GROUP, count, 3, WIDTH), torch.randn(2 * GROUP, queries, WIDTH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("farspan.methods.parts.select.tree_scan._PIECE_ROWS", piece)
        found_HX = TreeScan(3 * top).find(searched(k_GnBD, q_HTD))
    for head, found in enumerate(found_HX.tolist()):
        assert found == scanned(q_HTD[head], k_GnBD[head // 2].flatten(0, 1), 3, top)


def test_hip_looks_at_few_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long text the blocks that are read are a small part, and fewer the longer it is."""
    gather, read = Arena.gather, set[int]()

    def watched(self: Arena, names: Any, rows_NX: Tensor, heads_N: Tensor, tokens_NX: Tensor) -> list[Tensor]:
        assert names == ("k",)
        read.update((rows_NX * 8 + tokens_NX)[0].tolist())
        return gather(self, names, rows_NX, heads_N, tokens_NX)

    monkeypatch.setattr(Arena, "gather", watched)
    shares = []
    for count in (512, 4096):
        read.clear()
        TreeScan(8).find(searched(torch.randn(1, count, 8, 4), torch.randn(1, 1, 4)))
        shares.append(len(read) / (8 * count))
    assert shares[1] < shares[0] < 0.15


@pytest.mark.parametrize("codec", [RawBlocks(), QuantisedBlocks(8), QuantisedBlocks(4), PrunedChannels(0.5)])
@pytest.mark.parametrize("block", [1, 3, 8, 40])
def test_single_keys_are_those_of_their_blocks(codec: Codec, block: int) -> None:
    """Also where several tokens share a grid."""
    torch.manual_seed(0)
    k_GnBD, shape = torch.randn(GROUP, 5, block, WIDTH), BlockShape(GROUP, block, WIDTH, WIDTH, torch.float32)
    arena = Arena(codec.columns(shape), limits=TierRows(), device=torch.device("cpu"))
    arena.append(
        codec.encode(
            k_GnBD,
            k_GnBD,
            Surroundings({column.name: torch.rand(GROUP, *column.shape) for column in codec.notes(shape)}, None),
        )
    )
    search = replace(searched(k_GnBD, torch.randn(GROUP, 1, WIDTH)), arena=arena, codec=codec, shape=shape)
    ((_, whole_GnBD, _),) = search.keys_and_values(5)
    token_NX, heads_N = torch.randint(0, 5 * block, (4, 9)), torch.tensor([1, 0, 1, 0])
    found_NXD = single_keys(search, token_NX, heads_N)
    wanted_NXD = torch.stack([whole_GnBD.flatten(1, 2)[g, at] for g, at in zip(heads_N, token_NX, strict=True)])
    assert torch.equal(found_NXD, wanted_NXD)


def test_hip_scans_anew_when_a_block_that_it_kept_is_dropped() -> None:
    torch.manual_seed(0)
    k_GnBD, q_HTD = torch.randn(GROUP, 40, 3, WIDTH), torch.randn(2 * GROUP, 1, WIDTH)
    columns = RawBlocks().columns(BlockShape(GROUP, 3, WIDTH, WIDTH, torch.float32))
    arena = Arena(columns, limits=TierRows(device=36, disk=0), device=torch.device("cpu"))
    search = replace(searched(k_GnBD, q_HTD), arena=arena)
    for low in range(0, 40, 4):
        arena.append(dict.fromkeys(("k", "v"), k_GnBD[:, low : low + 4]))
        found_HX = TreeScan(1000).find(search)
        assert found_HX.tolist() == [list(range(max(0, low - 32), low + 4))] * 2 * GROUP


def test_hip_keeps_what_its_stages_found_while_an_answer_is_written() -> None:
    """Every stage goes by the query of the step at which it was scanned last; new blocks are fetched meanwhile."""
    torch.manual_seed(0)
    k_GnBD, q_NHD = torch.randn(GROUP, 141, 3, WIDTH), torch.randn(70, 2 * GROUP, WIDTH)
    search = searched(k_GnBD[:, :140], q_NHD[0, :, None])
    for step, q_HD in enumerate(q_NHD):
        if step == 20:
            search.arena.append(dict.fromkeys(("k", "v"), k_GnBD[:, 140:]))
        found_HX = TreeScan(9).find(replace(search, queries=Queries(q_HD[:, None])))
        for head, found in enumerate(found_HX.tolist()):
            last = [step - step % steps for steps in (32, 16, 8)]
            k_ND = k_GnBD[head // 2, : 140 + (last[-1] >= 20)].flatten(0, 1)
            wanted = scanned([q_NHD[at, head, None] for at in last], k_ND, 3, 3)
            assert found == [*wanted, *([140] if 20 <= step < 24 else [])]
    again = replace(search, queries=Queries(q_NHD[:5].transpose(0, 1)))
    at_once = TreeScan(9).find(again)
    assert torch.equal(at_once, TreeScan(9).find(replace(again, carried={}))), "several tokens are scanned for anew"
    assert int(search.carried["step"]) == 0


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


SIZES = "n_init=3, n_local=20, page_size=5, when=both, dense_layers=0"
HIP = "sink_token_size=3, sliding_window_size=20, chunk_size=2, second_stage_k=4"
CASES = {
    f"quest({SIZES}, token_budget=20)": lambda: Quest(WINDOW, 3, 20, 5, 4),
    f"quest({SIZES}, token_budget=1)": lambda: Quest(WINDOW, 3, 20, 5, 3),
    f"quest({SIZES}, token_budget=20, positions=compact)": lambda: Quest(WINDOW, 3, 20, 5, 4, capped=False),
    f"quest({SIZES}, token_budget=20, positions=true)": lambda: Quest(WINDOW, 3, 20, 5, 4, False, at_true=True),
    f"hip({HIP})": lambda: HiP(WINDOW, 3, 20, 2, 2, capped=False),
    f"hip({HIP}, positions=capped)": lambda: HiP(WINDOW, 3, 20, 2, 2),
}


@pytest.mark.parametrize("method", CASES)
def test_a_method_is_what_its_paper_says(model: Model, method: str) -> None:
    ids = different_ids(TOKENS, seed=3)
    wanted = reference(model.hosted, CASES[method], ids, 8)
    with model.session(method, chunk=8) as session:
        logits = session.logits(ids)
    torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
    beyond = eager(llama(max_position_embeddings=WINDOW), ids)[WINDOW:]
    assert (logits[WINDOW:] - beyond).abs().max() > 0.01, "this text does not tell the method from full attention"
