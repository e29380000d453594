"""The loss curve is the loss of eager attention, bin by bin."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from farspan.evals.loss import loss_curve
from tests.tiny import llama, model

TEXT = "The keeper counted the waves and the hours, and wrote both in the book. "


@pytest.mark.parametrize("tokens", [100, 64])
def test_the_curve_is_that_of_eager_attention(tokens: int) -> None:
    ids = [1, *model().encoder.encode(TEXT * 3).ids][:tokens]
    reference = llama()
    reference.set_attn_implementation("eager")
    with torch.no_grad():
        logits_TV = reference(torch.tensor([ids])).logits[0]
    losses = functional.cross_entropy(logits_TV[:-1], torch.tensor(ids[1:]), reduction="none")
    bins = list(loss_curve(model(), [TEXT, TEXT * 2], "full", tokens=tokens, bin_tokens=32))
    assert [one.start for one in bins] == list(range(0, tokens - 1, 32))
    assert bins[-1].end == tokens - 1
    for one in bins:
        assert one.method == "full"
        assert one.loss == pytest.approx(float(losses[one.start : one.end].mean()), abs=1e-4)
