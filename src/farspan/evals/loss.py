"""The loss against the position in a text: whether a method keeps its footing, token after token, on any prose.

The curve of StreamingLLM (Xiao et al. 2023, figure 3): a method whose loss climbs beyond the window has lost it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from torch import tensor
from torch.nn import functional

from farspan.engine import Model
from farspan.methods import Method
from farspan.types import Budget

_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class LossBin:
    """The mean loss (nats a token) of the tokens from `start` to `end` of a text."""

    method: str
    start: int
    end: int
    loss: float


def loss_curve(
    model: Model,
    pieces: Iterable[str],
    method: str | Method,
    *,
    tokens: int,
    budget: Budget | str | None = None,
    bin_tokens: int = 1024,
) -> Iterator[LossBin]:
    """Read the first `tokens` of a text by a method, and give the mean loss of every `bin_tokens` of it as it goes."""
    ids = islice(chain(model.template.head, _ids(model, pieces)), tokens)
    with model.session(method, budget) as session:
        name = str(session.method)
        before: list[int] = list(islice(ids, 1))
        start = 0
        losses: list[float] = []
        while part := list(islice(ids, _AT_ONCE)):
            logits_TV = session.logits([*before, *part[:-1]])
            losses += functional.cross_entropy(
                logits_TV.float(), tensor(part, device=logits_TV.device), reduction="none"
            ).tolist()
            before = part[-1:]
            while len(losses) >= bin_tokens:
                yield LossBin(name, start, start + bin_tokens, sum(losses[:bin_tokens]) / bin_tokens)
                losses, start = losses[bin_tokens:], start + bin_tokens
        if losses:
            yield LossBin(name, start, start + len(losses), sum(losses) / len(losses))


def _ids(model: Model, pieces: Iterable[str]) -> Iterator[int]:
    for piece in model.encoder.stream(pieces):
        yield from piece.ids
