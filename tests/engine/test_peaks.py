"""Where heads look: the same place as in eager attention."""

from __future__ import annotations

import torch

from farspan.engine.peaks import peaks
from tests.tiny import llama, model, random_ids


def test_peaks_are_those_of_eager_attention() -> None:
    ids = random_ids(40)
    reference = llama()
    reference.set_attn_implementation("eager")
    with torch.no_grad():
        weights = reference(torch.tensor([ids]), output_attentions=True).attentions
    wanted_TLH = torch.stack([layer[0, :, -3:].argmax(-1).T for layer in weights], dim=1)
    with model().session() as session:
        session.read(ids[:-3])
        assert torch.equal(peaks(session, ids[-3:]), wanted_TLH)
        assert session.counts.seen == 40
