"""For every query head, blocks that are found by halving chunks in three stages (InfiniteHiP, arXiv 2502.08910).

Shapes: H query heads, T tokens of the chunk, M pooled queries, X chunks or blocks, n chunks in a piece, s keys, D key
width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from farspan.attention.choosing import best_rows
from farspan.attention.processor import matmul
from farspan.methods.parts.searching import Fetched, Search
from farspan.methods.parts.select.ranking import When, fetch, heads_of, single_keys, works
from farspan.methods.parts.window_share import window_share

_PIECE_ROWS = 4096
_QUERIES = 64
_STEP, _KEPT = "step", "kept"


class Stage(NamedTuple):
    """Blocks in a chunk, how many times the tokens of the last stage are kept, queries pooled into one; for how many
    steps of an answer, one token each, the chunks found are kept.
    """

    blocks: int
    times: int
    stride: int
    refresh: int


STAGES = (Stage(32, 16, 4, 32), Stage(4, 4, 4, 16), Stage(1, 1, 1, 8))


@dataclass(frozen=True, slots=True)
class TreeScan:
    """As many blocks as hold `tokens` tokens, found without an index and without reading every key.

    A chunk is halved: the middle keys of its halves are scored, the better half goes on, down to one token; the
    chunk counts as its best score on the way. Chunks of 32 blocks over everything, then of 4 within the best, then
    single blocks; what does not fill a chunk goes on to the next stage. While an answer is written token by token,
    a stage is scanned anew after so many steps only; blocks made meanwhile are all fetched. `tokens` of None are 2,048,
    and a quarter of the window where that is less.
    """

    tokens: int | None = None
    when: When = "both"
    recalls: bool = True
    needs_all: bool = False

    def resolve(self, window: int) -> Self:
        """Choose the number of tokens for a model trained on `window` tokens."""
        return self if self.tokens is not None else replace(self, tokens=window_share(window, 4, 2048))

    def cadence(self, answering: bool) -> int | None:
        """One scan for so many tokens."""
        return _QUERIES if works(self.when, answering) else None

    def segments(self, search: Search) -> Iterator[Fetched]:
        """The blocks that the scan ends at, the same ones for all tokens of the chunk."""
        if works(self.when, search.answering):
            yield from fetch(
                search, self.find(search), heads_of(search, per_token=False), per_head=True, per_token=False
            )

    def find(self, search: Search) -> Tensor:
        """The blocks for every query head: `[H, X]`."""
        assert self.tokens is not None
        carried, device = search.carried, search.q_HTD.device
        writing = search.answering and search.q_HTD.shape[1] == 1
        step = int(carried.get(_STEP, 0)) if writing else 0
        carried[_STEP] = torch.tensor(step + 1 if writing else 0, device="cpu")
        rest, chunk, anew = search.arena.first, 1, False
        found_HX = torch.empty((search.q_HTD.shape[0], 0), dtype=torch.long, device=device)
        for number, stage in enumerate(STAGES):
            kept = f"{_KEPT}{number}"
            anew = anew or step % stage.refresh == 0 or bool((carried[kept] < search.arena.first).any())
            if anew:
                inner = torch.arange(0, chunk, stage.blocks, device=device)
                scan = _Scan(search, stage, (found_HX.unsqueeze(-1) + inner).flatten(1), rest)
                found_HX = scan.best(max(1, stage.times * self.tokens // (stage.blocks * search.block)))
                rest = scan.end
            else:
                found_HX, rest = carried[kept][:, :-1].to(device), int(carried[kept][0, -1])
            if writing:
                carried[kept] = torch.nn.functional.pad(found_HX, (0, 1), value=rest)
            chunk = stage.blocks
        new_n = torch.arange(rest, search.arena.length, device=device)
        return torch.cat((found_HX, new_n.expand(len(found_HX), -1)), dim=1)


class _Scan:
    """One stage: its chunks begin at blocks `given_HX`, and then one after the other from block `rest` on."""

    def __init__(self, search: Search, stage: Stage, given_HX: Tensor, rest: int) -> None:
        self.search = search
        self.size = stage.blocks
        self.given_HX = given_HX
        self.rest = rest
        self.whole = (search.arena.length - rest) // stage.blocks
        self.end = rest + self.whole * stage.blocks
        self.q_HMD = torch.stack([part.mean(1) for part in search.q_HTD.split(stage.stride, dim=1)], 1)
        self.heads_H = heads_of(search, per_token=False)

    def best(self, count: int) -> Tensor:
        """Where the `count` best chunks begin, in the order of the text: `[H, X]`."""
        at_HX = best_rows(self._scored(), min(count, self.given_HX.shape[1] + self.whole))
        return self.given_HX if at_HX is None else self._starts(at_HX)

    def _starts(self, at_Hn: Tensor) -> Tensor:
        """The first blocks of the `at`-th chunks."""
        given = self.given_HX.shape[1]
        later_Hn = self.rest + (at_Hn - given) * self.size
        if not given:
            return later_Hn
        return torch.where(at_Hn < given, self.given_HX.gather(1, at_Hn.clamp(max=given - 1)), later_Hn)

    def _scored(self) -> Iterator[tuple[int, Tensor]]:
        heads, total = len(self.heads_H), self.given_HX.shape[1] + self.whole
        step = max(1, _PIECE_ROWS // heads)
        for low in range(0, total, step):
            at_n = torch.arange(low, min(total, low + step), device=self.given_HX.device)
            yield low, self._halved(self._starts(at_n.expand(heads, -1)))

    def _halved(self, row_Hn: Tensor) -> Tensor:
        """The best score that halving meets in the chunks whose first blocks these are; of equal halves the right."""
        tokens = self.size * self.search.block
        low_Hn = row_Hn * self.search.block
        high_Hn = low_Hn + tokens
        best_Hn = torch.full(row_Hn.shape, float("-inf"), dtype=torch.float32, device=row_Hn.device)
        for _ in range(max(1, (tokens - 1).bit_length())):
            centre_Hn = (low_Hn + high_Hn) // 2
            lower_Hn, upper_Hn = self._scores((low_Hn + centre_Hn) // 2, (centre_Hn + high_Hn) // 2)
            best_Hn = best_Hn.maximum(lower_Hn).maximum(upper_Hn)
            is_lower_Hn = lower_Hn > upper_Hn
            low_Hn = torch.where(is_lower_Hn, low_Hn, centre_Hn)
            high_Hn = torch.where(is_lower_Hn, centre_Hn, high_Hn)
        return best_Hn

    def _scores(self, *token_Hn: Tensor) -> tuple[Tensor, ...]:
        """For every one of these keys the greatest dot product with the pooled queries."""
        k_HsD = single_keys(self.search, torch.cat(token_Hn, dim=1), self.heads_H)
        score_Hs = matmul(k_HsD, self.q_HMD.transpose(1, 2)).amax(-1).float()
        return tuple(torch.split(score_Hs, [part.shape[1] for part in token_Hn], dim=1))
