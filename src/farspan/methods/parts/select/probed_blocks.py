"""Blocks for the tokens of a chunk that stand out, as many as a layer is worth (ActQKV, arXiv 2502.13542).

Shapes: H query heads, R of them to a KV head, G KV heads, T tokens of the chunk, C = H * D channels, n blocks in a
piece, D key width, X blocks chosen, S samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.methods.parts.index.one_key import COLUMN
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, works
from farspan.methods.parts.window_share import window_share

_PIECE_BLOCKS = 8192
_MOST_WINDOWS = 1000
_MEAN, _VARIANCE, _WINDOWS, _ENTROPIES, _SPENT = "mean", "variance", "windows", "entropies", "spent"


@dataclass(frozen=True, slots=True)
class ProbedBlocks:
    """The blocks whose representatives are most like the chunk's probe query, the same ones for all heads of a layer.

    The probe is the mean of the chunk's queries, each weighted by its activation bias: how far it lies from the running
    mean, channel by channel, in units of the running variance. A layer fetches `count` blocks. While answering, `count`
    is the mean over the layers: each takes a share of what is left in proportion to the entropy of its scores, `fewest`
    at least and twice `count` at most, once every layer has `samples` of them. `chunk`, queries in one lookup, of None
    is 256, and an eighth of the window where that is less.
    """

    count: int = 46
    fewest: int = 32
    samples: int = 100
    chunk: int | None = None
    when: When = "both"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the chunk for a model trained on `window` tokens."""
        return self if self.chunk is not None else replace(self, chunk=window_share(window, 8, 256))

    def cadence(self, answering: bool) -> int | None:
        """One lookup for so many tokens."""
        return self.chunk if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The best blocks for all tokens of the chunk."""
        if not works(self.when, search.answering):
            return
        scores = _Scores(search, probe(search.queries.turned_HTD.float().movedim(0, 1).flatten(1), search.carried))
        ranked_1X = best_rows(scores.pieces(), search.at_most(2 * self.count), in_order=False)
        if ranked_1X is None:
            return
        self._note(scores, search.carried)
        best_1X = ranked_1X[:, : self._share(search)].sort(dim=1).values
        search.carried[_SPENT] = torch.tensor(best_1X.shape[1], device="cpu")
        heads_G = torch.arange(search.kv_heads, device=best_1X.device)
        yield from fetch(search, best_1X.expand(search.kv_heads, -1), heads_G, per_head=False, per_token=False)

    def _note(self, scores: _Scores, carried: dict[str, Tensor]) -> None:
        """Remember how even this layer's scores are."""
        if scores.blocks > 1:
            new_1 = torch.tensor([scores.evenness], dtype=torch.float32, device="cpu")
            known_S = torch.cat((carried.get(_ENTROPIES, new_1[:0]), new_1))
            carried[_ENTROPIES] = known_S[-self.samples :].clone()

    def _share(self, search: Search) -> int:
        """How many blocks this layer may fetch: all layers together `count` times as many as they are."""
        if not search.answering:
            return self.count
        before = next(place for place, peer in enumerate(search.peers) if peer is search.carried)
        done, waiting = search.peers[:before], search.peers[before:]
        left = self.count * len(search.peers) - sum(int(layer.get(_SPENT, 0)) for layer in done)
        share = 1 / len(waiting)
        if all(_ENTROPIES in layer and len(layer[_ENTROPIES]) == self.samples for layer in search.peers):
            expected = [float(layer[_ENTROPIES].mean()) for layer in waiting]
            share = expected[0] / sum(expected)
        return max(min(self.fewest, self.count), min(2 * self.count, round(share * left)))


def probe(q_TC: Tensor, carried: dict[str, Tensor]) -> Tensor:
    """The mean query `[C]`, weighted by activation bias; the running statistics in `carried` are brought up to date."""
    mean_C, variance_C = _statistics(q_TC, carried)
    bias_T = ((q_TC - mean_C).square() / (variance_C + variance_C.mean() / 100)).mean(1)
    weight_T = bias_T / bias_T.sum()
    return (weight_T if bool(weight_T.isfinite().all()) else torch.ones_like(bias_T) / len(bias_T)) @ q_TC


def _statistics(q_TC: Tensor, carried: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel over the chunks so far and this one; each counts as much as any other."""
    tokens, device = len(q_TC), q_TC.device
    mean_C, variance_C = q_TC.mean(0), q_TC.var(0, unbiased=False)
    windows = int(carried.get(_WINDOWS, 0))
    if windows:
        before_C, spread_C = carried[_MEAN].to(device), carried[_VARIANCE].to(device)
        apart_C = (mean_C - before_C).square() * windows / (windows + 1)
        variance_C = (spread_C * (windows - 1 / tokens) + variance_C + apart_C) / (windows + 1 - 1 / tokens)
        mean_C = (before_C * windows + mean_C) / (windows + 1)
    else:
        variance_C = variance_C * tokens / max(1, tokens - 1)
    carried[_MEAN], carried[_VARIANCE] = mean_C, variance_C
    carried[_WINDOWS] = torch.tensor(min(windows + 1, _MOST_WINDOWS), device="cpu")
    return mean_C, variance_C


class _Scores:
    """The cosines between the probe and what stands for the blocks, all heads as one vector, and how even they are.

    Both are as they are met: what stands for a block is a key at position 0.
    """

    def __init__(self, search: Search, probe_C: Tensor) -> None:
        assert search.index is not None
        self._index, self._queries = search.index, search.queries
        probe_GRD = probe_C.view(search.kv_heads, -1, search.q_HTD.shape[-1])
        length = probe_C.norm() * probe_GRD.shape[1] ** 0.5
        self._probe_GD = probe_GRD.sum(1) / length.clamp(min=1e-12)
        self.blocks = 0
        self._total = self._weighted = 0.0

    def pieces(self) -> Iterator[tuple[int, Tensor]]:
        """The scores `[1, n]` piece by piece."""
        for first, rows in self._index.scan((COLUMN,), _PIECE_BLOCKS):
            stands_nC = self._queries.at_start(rows[COLUMN]).movedim(1, 0).flatten(1)
            score_n = torch.mv(stands_nC, self._probe_GD.flatten()) / stands_nC.norm(dim=1).clamp(min=1e-12)
            mass_n = score_n.double().exp()
            self.blocks += len(score_n)
            self._total += float(mass_n.sum())
            self._weighted += float(mass_n @ score_n.double())
            yield first, score_n.unsqueeze(0)

    @property
    def evenness(self) -> float:
        """The entropy of their softmax, as a share of the largest there can be."""
        return (math.log(self._total) - self._weighted / self._total) / math.log(self.blocks)
