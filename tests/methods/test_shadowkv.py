"""ShadowKV: which chunks are outliers, what is met with which keys, and the whole method against a slow reference.

Shapes: H query heads, G KV heads, T tokens, N chunks, B tokens in a chunk, D key width.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from farspan.attention.softmax import Scoring
from farspan.cache.arena import Arena, TierRows
from farspan.cache.columns import BlockShape
from farspan.engine import Model
from farspan.methods.parts.codec.low_rank import LowRankKeys
from farspan.methods.parts.decoding import Decoding, Surroundings
from farspan.methods.parts.index.landmarks import Landmarks, Outliers
from farspan.methods.parts.notes import NewBlocks, Notes
from farspan.methods.parts.searching import Search
from farspan.methods.parts.select.top_landmarks import TopLandmarks
from farspan.types import Budget
from tests.methods.brute import Blocks, Brute, reference
from tests.methods.stored import answering_search, blocks, layer
from tests.tiny import different_ids, eager, llama, tokenizer

WINDOW, TOKENS = 48, 144
GROUP, WIDTH, BLOCK = 2, 8, 4
SHAPE = BlockShape(GROUP, BLOCK, WIDTH, WIDTH, torch.float32)
INDEX, CODEC = Landmarks(3), LowRankKeys(4)


def likeness(k_BD: Tensor) -> float:
    """The least cosine of a key to the mean of its chunk."""
    mean_D = k_BD.mean(0)
    return min(float(k_D @ mean_D / (k_D.norm() * mean_D.norm())) for k_D in k_BD)


def worst(k_NBD: Tensor, first: int, count: int) -> list[int]:
    """The chunks from `first` on that their landmarks represent worst."""
    return sorted(sorted(range(first, len(k_NBD)), key=lambda chunk: likeness(k_NBD[chunk]))[:count])


def nothing_noted() -> Notes:
    columns = (*INDEX.notes(SHAPE), *CODEC.notes(SHAPE))
    return {column.name: torch.zeros((column.heads, *column.shape), dtype=column.dtype) for column in columns}


def noted(k_GNBD: Tensor, cuts: list[int], oldest: int = 0) -> Notes:
    """The notes after chunks were stored in parts; only from `oldest` on they are there when the last one is."""
    notes = nothing_noted()
    for low, high in zip([0, *cuts], [*cuts, k_GNBD.shape[1]], strict=True):
        part = k_GNBD[:, low:high]
        new = NewBlocks(part, low, oldest if high == k_GNBD.shape[1] else 0, (part.flatten(1, 2),))
        for noting in (CODEC, INDEX):
            notes = {**notes, **noting.before_blocks(notes, new)}
    return notes


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12), cuts=st.sets(st.integers(1, 11)), data=st.data())
def test_outliers_are_the_worst_of_all_chunks_so_far(
    seed: int, count: int, cuts: set[int], data: st.DataObject
) -> None:
    torch.manual_seed(seed)
    k_GNBD = torch.randn(GROUP, count, BLOCK, WIDTH) + 1
    parts = sorted(cut for cut in cuts if cut < count)
    oldest = data.draw(st.integers(0, parts[0])) if parts else 0
    outliers = Outliers.noted(noted(k_GNBD, parts))
    for head, (k_OBD, row_O) in enumerate(zip(*outliers, strict=True)):
        known = sorted(row for row in row_O.tolist() if row >= 0)
        assert known == worst(k_GNBD[head], 0, 3)
        assert torch.equal(k_OBD[row_O >= 0], k_GNBD[head, row_O[row_O >= 0]])
    for row_O in Outliers.noted(noted(k_GNBD, parts, oldest)).row_GO.tolist():
        assert all(row >= oldest or row == -1 for row in row_O), "what is not there any more is no outlier"


def searched(k_GNBD: Tensor, q_HTD: Tensor, notes: Notes) -> Search:
    """A layer that stores these chunks, looked at by these queries."""
    here = torch.device("cpu")
    arena = Arena(CODEC.columns(SHAPE), TierRows(), here)
    index = Arena(INDEX.columns(layer(GROUP, WIDTH)), TierRows(), here)
    arena.append(CODEC.encode(k_GNBD, -k_GNBD, Surroundings(notes, None)))
    index.append(INDEX.rows(blocks(k_GNBD)))
    return answering_search(SHAPE, CODEC, arena, index, q_HTD, scoring=Scoring(0.5), notes=notes)


def best_chunks(q_RTD: Tensor, k_NBD: Tensor, outliers: list[int], top: int, scale: float) -> list[int]:
    """The chunks of one KV head, its outliers left out, by the attention to their landmarks."""
    others = [chunk for chunk in range(len(k_NBD)) if chunk not in outliers]
    if not others:
        return []
    landmark_nD = torch.stack([k_NBD[chunk].mean(0) for chunk in others])
    by_head = [sum(torch.softmax(landmark_nD @ q_D * scale, 0) for q_D in q_TD) for q_TD in q_RTD]
    score = {chunk: max(float(share_n[at]) for share_n in by_head) for at, chunk in enumerate(others)}
    return sorted(others, key=lambda chunk: -score[chunk])[:top]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 14), top=st.integers(1, 6), piece=st.integers(1, 5))
def test_chosen_chunks_have_keys_of_low_rank_and_outliers_exact_ones(
    seed: int, count: int, top: int, piece: int
) -> None:
    torch.manual_seed(seed)
    k_GNBD, q_HTD = torch.randn(GROUP, count, BLOCK, WIDTH) + 0.5, torch.randn(2 * GROUP, 3, WIDTH)
    notes = noted(k_GNBD, [])
    search = searched(k_GNBD, q_HTD, notes)
    rows = CODEC.encode(k_GNBD, k_GNBD, Surroundings(notes, None))
    low_GNBD = CODEC.keys(rows, Decoding(SHAPE, torch.arange(GROUP), notes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("farspan.methods.parts.select.top_landmarks._PIECE_CHUNKS", piece)
        (fetched,) = TopLandmarks(top * BLOCK).segments(search)
    assert fetched.skip_N is not None
    runs = fetched.found.runs(BLOCK)
    for head in range(GROUP):
        outliers = worst(k_GNBD[head], 0, 3)
        best = best_chunks(q_HTD[2 * head : 2 * head + 2], k_GNBD[head], outliers, top, 0.5)
        skip = int(fetched.skip_N[head])
        assert fetched.rows_NX[head, skip:].tolist() == sorted(outliers + best)
        wanted = [(k_GNBD if chunk in outliers else low_GNBD)[head, chunk] for chunk in sorted(outliers + best)]
        torch.testing.assert_close(runs.k_NKD[head, skip * BLOCK :], torch.cat(wanted), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            runs.v_NKE[head, skip * BLOCK :], -k_GNBD[head, sorted(outliers + best)].flatten(0, 1)
        )


@dataclass
class ShadowKV(Blocks):
    """Outliers and the chunks with the best landmarks, chosen for every KV head and chunk of queries."""

    outliers: int = 2

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """One lookup for the chunk."""
        super().begin(brute, q_HTD, start)
        if self.all_true or not self.count:
            return
        turned_HTD = brute.turn(q_HTD, torch.full((q_HTD.shape[1],), self.window))
        self.chosen = []
        k_GNBD, sought_GNBD = (
            x_GND[:, self.sinks : self.begins(self.count)].unflatten(1, (-1, self.block))
            for x_GND in (brute.k_GND, brute.sought_GND)
        )
        for group, (k_NBD, sought_NBD) in enumerate(zip(k_GNBD, sought_GNBD, strict=True)):
            outliers = worst(k_NBD, 0, self.outliers)
            q_RTD = turned_HTD[group * brute.group : (group + 1) * brute.group]
            best = best_chunks(q_RTD, sought_NBD, outliers, self.top_k, q_HTD.shape[-1] ** -0.5)
            self.chosen.append(outliers + best)

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """What the chunk looked up for the KV head."""
        return self.chosen[head // brute.group]


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


SIZES = "n_init=3, n_local=20, chunk_size=5, sparse_budget=20, outlier_chunk=2, when=both"


@pytest.mark.parametrize(("more", "capped", "chunk"), [("", True, 8), ("", True, 1), (", positions=compact", False, 8)])
def test_the_method_is_what_its_paper_says(model: Model, more: str, capped: bool, chunk: int) -> None:
    """With as many directions as keys have numbers, so that only what is met is compared."""
    ids = different_ids(TOKENS, seed=3)
    wanted = reference(model.hosted, lambda: ShadowKV(WINDOW, 3, 20, 5, 4, capped), ids, chunk)
    with model.session(f"shadowkv({SIZES}, rank=1000{more})", chunk=chunk) as session:
        logits = session.logits(ids)
    torch.testing.assert_close(logits, wanted, atol=5e-5, rtol=0)
    beyond = eager(llama(max_position_embeddings=WINDOW), ids)[WINDOW:]
    assert (logits[WINDOW:] - beyond).abs().max() > 0.01, "this text does not tell the method from full attention"


def test_outliers_that_are_dropped_are_not_met(model: Model) -> None:
    """With no disk tier, every outlier that is remembered is stored, and later ones take the others' places."""
    method = "shadowkv(n_init=3, n_local=20, chunk_size=5, sparse_budget=20, outlier_chunk=6, when=both)"
    with model.session(method, Budget(disk=0)) as roomy:
        roomy.read(different_ids(100))
        size = roomy.counts.kv_bytes["device"]
    with model.session(method, Budget(size + 60_000, disk=0), chunk=8) as session:
        session.read(different_ids(240) * 4)
        layer = session._stream.kv.layers[0]
        assert layer.arena is not None and layer.arena.first > 6
        assert (Outliers.noted(layer.notes).row_GO >= layer.arena.first - 8).all()
        assert session.counts.dropped
