"""The retrieval score of every head: how much of a needle it copies (Wu et al. 2024, "Retrieval Head", section 2).

A head copies a token when, at the step that predicts the token, the place it attends to most lies in the needle and
holds that very token. The score is the share of the answer's tokens that it copies, averaged over needles. The answer
is given to the model (the paper lets it generate, and leaves wrong answers out), and is that part of the needle which
was asked for (in the paper it is all of it).
"""

from __future__ import annotations

from torch import Tensor, int64, tensor, zeros

from farspan import tasks
from farspan.engine import Model
from farspan.engine.peaks import peaks
from farspan.evals.subjects.local import LocalSubject
from farspan.methods.parts.place.profile import HeadProfile, HeadScore
from farspan.tasks import Sample, Space

_TASK = "needle(needles=1)"


def head_profile(model: Model, *, length: int = 1024, needles: int = 20, seed: int = 0) -> HeadProfile:
    """Every head's score over so many needles in contexts of `length` tokens, by full attention.

    Layers with a sliding window of their own are left out.
    """
    measured = LocalSubject(model)
    space = Space(length, measured.count, frame=measured.frame)
    total_LH = (
        sum(_copied(model, sample) for sample in tasks.parse(_TASK).samples(needles, seed=seed, space=space)) / needles
    )
    assert isinstance(total_LH, Tensor)
    layers = [facts.index for facts in model.hosted.facts if facts.sliding_window is None]
    scores = [
        HeadScore(layer, head, round(float(score), 4))
        for layer, score_H in zip(layers, total_LH, strict=True)
        for head, score in enumerate(score_H)
    ]
    ranked = sorted(scores, key=lambda one: (-one.score, one.layer, one.head))
    return HeadProfile(tuple(ranked), model.name, model.fingerprint)


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
