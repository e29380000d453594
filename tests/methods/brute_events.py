"""EM-LLM written out slowly: surprise token by token, events by a walk over them, a queue of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from farspan.attention.adapter import HostedModel
from tests.methods.brute import Blocks, Brute, InfLLM, brutes


@dataclass
class Record:
    """What all layers share: how surprising every token was, and whether it begins an event."""

    window: int
    gamma: float
    surprise: list[float] = field(default_factory=list)
    marks: list[bool] = field(default_factory=list)

    def take(self, ids: list[int], log_TV: Tensor, last_V: Tensor) -> None:
        """A chunk was read; `last_V` are the log probabilities before its first token."""
        fresh = [-float((last_V if at == 0 else log_TV[at - 1])[token]) for at, token in enumerate(ids)]
        known = torch.tensor(self.surprise[-self.window :] if len(self.surprise) > 1 else fresh)
        limit = known.mean() + self.gamma * (known.std() if len(known) > 1 else 0.0)
        self.surprise += fresh
        self.marks += [value > limit for value in fresh]


def walk(marks: list[bool], shortest: int, longest: int) -> list[int]:
    """Lengths of the events that are complete, one token at a time."""
    lengths, held = [], 0
    for begins in marks:
        if begins and held >= shortest:
            lengths.append(held)
            held = 0
        held += 1
        if held == longest:
            lengths.append(held)
            held = 0
    return lengths


@dataclass
class EMLLM(InfLLM):
    """Events for blocks; `top_k` and `block` are not used."""

    record: Record = field(default_factory=lambda: Record(0, 0.0))
    shortest: int = 1
    longest: int = 8
    n_mem: int = 20
    share: float = 0.3

    def __post_init__(self) -> None:
        self.queue: list[int] = []

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Events are made of what had left the window, and looked up once for the chunk."""
        Blocks.begin(self, brute, q_HTD, start)
        if self.all_true:
            return
        self.lengths = walk(self.record.marks[self.sinks : start - self.window], self.shortest, self.longest)
        self.count = len(self.lengths)
        if not self.count:
            return
        stands_nGD = [self.representative(brute, number) for number in range(self.count)]
        at_T = torch.full((q_HTD.shape[1],), self.window)
        mean_HD = torch.stack([brute.turn(q_TD, at_T).mean(0) for q_TD in q_HTD])
        score = [sum(float(q_D @ s_GD[h // brute.group]) for h, q_D in enumerate(mean_HD)) for s_GD in stands_nGD]
        cap = int(self.n_mem * self.share)
        best = self.fill(sorted(range(self.count), key=lambda number: -score[number]), self.n_mem - cap)
        near = [at for number in best for at in (number + 1, number - 1)] + self.queue
        self.queue = self.fill([at for at in dict.fromkeys(near) if at not in best and 0 <= at < self.count], cap)
        self.chosen = [best + self.queue] * q_HTD.shape[0]

    def fill(self, numbers: list[int], tokens: int) -> list[int]:
        """The first numbers, as many as come nearest to `tokens`."""
        best, total = 0, 0
        for count, number in enumerate(numbers, 1):
            before, total = total, total + self.lengths[number]
            if total >= tokens:
                return numbers[: count if tokens - before > total - tokens else best]
            best = count
        return numbers

    def begins(self, number: int) -> int:
        """The first token of an event."""
        return self.sinks + sum(self.lengths[:number])


def logits(hosted: HostedModel, rules: list[EMLLM], ids: list[int], chunk: int) -> Tensor:
    """The logits of every token, read chunk by chunk; all rules share one record."""
    handlers = brutes(hosted, rules)
    last_V = torch.full((hosted.vocab_size,), 1 / hosted.vocab_size).log()
    parts = []
    for start in range(0, len(ids), chunk):
        part = ids[start : start + chunk]
        logits_TV = hosted.forward(torch.tensor(part), start, handlers, "all")
        assert logits_TV is not None
        log_TV = logits_TV.log_softmax(-1)
        rules[0].record.take(part, log_TV, last_V)
        last_V = log_TV[-1]
        parts.append(logits_TV)
    return torch.cat(parts)
