"""The retrieval score of every head: how much of a needle it copies (Wu et al. 2024, "Retrieval Head", section 2).

A head copies a token when, at the step that predicts the token, the place it attends to most lies in the needle and
holds that very token. The score is the share of the answer's tokens that it copies, averaged over needles. The answer
is given to the model (the paper lets it generate, and leaves wrong answers out).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, int64, tensor, zeros

from farspan import tasks
from farspan.engine import Model
from farspan.engine.peaks import peaks
from farspan.evals.subjects.local import LocalSubject
from farspan.tasks import Sample, Space

_TASK = "needle(needles=1)"


@dataclass(frozen=True, slots=True)
class HeadScore:
    """A head's retrieval score, 0 to 1; layers without a sliding window of their own are counted from 0."""

    layer: int
    head: int
    score: float


def retrieval_heads(model: Model, *, length: int = 1024, needles: int = 20, seed: int = 0) -> list[HeadScore]:
    """Every head's score over so many needles in contexts of `length` tokens, highest first, by full attention."""
    measured = LocalSubject(model)
    space = Space(length, measured.count, frame=measured.frame)
    total = (
        sum(_copied(model, sample) for sample in tasks.parse(_TASK).samples(needles, seed=seed, space=space)) / needles
    )
    assert isinstance(total, Tensor)
    layers, heads = total.shape
    scores = [
        HeadScore(layer, head, round(float(total[layer, head]), 4)) for layer in range(layers) for head in range(heads)
    ]
    return sorted(scores, key=lambda one: (-one.score, one.layer, one.head))


def _copied(model: Model, sample: Sample) -> Tensor:
    """The share of the answer's tokens that each head copies from the needle, `[L, H]`."""
    turn = sample.turns[0]
    piece = model.encoder.encode(sample.document)
    head = model.template.head
    start, end = sample.spans(turn)[0]
    needle = {
        len(head) + place
        for place, (first, last) in enumerate(zip(piece.starts, piece.ends, strict=True))
        if start <= first and last <= end
    }
    answer = model.encoder.encode(turn.answer).ids
    stream = [*head, *piece.ids]
    asked = [*model.template.gap, *model.encoder.encode(turn.query).ids, *model.template.tail]
    with model.session("full") as session:
        session.read([*stream, *asked[:-1]])
        peaks_TLH = peaks(session, [asked[-1], *answer[:-1]])
    inside = zeros(len(stream) + len(asked) + len(answer), dtype=int64) - 1
    for place in needle:
        inside[place] = stream[place]
    hits_TLH = inside[peaks_TLH] == tensor(answer).reshape(-1, 1, 1)
    return hits_TLH.float().mean(dim=0)
