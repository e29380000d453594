"""The retrieval score against one that is counted out by hand from transformers' own attention."""

from __future__ import annotations

import pytest
import torch

import farspan
from farspan import tasks
from farspan.evals.heads import head_profile
from farspan.evals.subjects.local import LocalSubject
from farspan.tasks import Space


def test_the_score_is_the_share_of_the_answer_that_a_head_copies() -> None:
    """Of every step that is to give a token of the answer, the key with the most attention is that token's."""
    model = farspan.load()
    profile = head_profile(model, length=256, needles=2, seed=5)
    measured = LocalSubject(model)
    space = Space(256, measured.count, frame=measured.frame)
    wanted = torch.zeros(4, 4)
    for sample in tasks.parse("needle(needles=1)").samples(2, seed=5, space=space):
        turn = sample.turns[0]
        start, end = sample.spans(turn)[0]
        encode, template = model.encoder.encode, model.template
        needle = sample.document[start:end]
        answer = encode(turn.answer).ids
        before = [*template.head, *encode(sample.document).ids]
        ids = [*before, *template.gap, *encode(turn.query).ids, *template.tail, *answer]
        hosted = model.hosted.model
        hosted.set_attn_implementation("eager")
        with torch.no_grad():
            layers = hosted(torch.tensor([ids]), output_attentions=True).attentions
        for layer, attention in enumerate(layers):
            for head in range(4):
                for step, token in enumerate(answer):
                    best = int(attention[0, head, len(ids) - len(answer) + step - 1].argmax())
                    inside = best < len(before) and model.tokenizer.decode([ids[best]]).strip() in needle
                    wanted[layer, head] += (inside and ids[best] == token) / len(answer) / 2
    found = torch.zeros(4, 4)
    for one in profile.heads:
        found[one.layer, one.head] = one.score
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert profile.heads[0].score > 0.8 and profile.fingerprint == model.fingerprint
    assert [one.score for one in profile.heads] == sorted((one.score for one in profile.heads), reverse=True)
    assert wanted.max() == pytest.approx(profile.heads[0].score, abs=1e-4)
