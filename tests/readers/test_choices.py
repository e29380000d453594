"""What each reader chooses, against slow references that share nothing with it but the token ids."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

import farspan
from farspan import readers
from farspan.attention.adapter import Chunk
from farspan.engine import Model
from farspan.errors import InputError, MethodError
from farspan.readers.gemfilter import EarlyLayer
from farspan.readers.infini_retri import Sentences, best_sentences, token_scores
from farspan.readers.kit import answering
from farspan.readers.kit.question import Question
from farspan.readers.kit.reader import Reader, chosen_layer
from farspan.readers.kit.sentences import sentence_ends
from farspan.readers.kit.session import ReaderSession
from farspan.readers.kit.settings import ReaderSettings
from farspan.readers.kit.text import ReadText
from farspan.tasks import Sample, Space, needle
from tests.readers.test_contract import LONG, SHORT
from tests.tiny import WINDOW, eager, llama, model

ASKED = "Where did it rain?"
Ids = list[int]


@pytest.fixture(scope="module")
def bundled() -> Model:
    return farspan.load()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What strategies chose, and their questions: `[(ranges, question), ...]`."""
    seen: list[Any] = []
    choose = answering.chosen

    def noting(settings: ReaderSettings, text: ReadText, question: Question) -> Any:
        chosen = choose(settings, text, question)
        seen.append((chosen, question))
        return chosen

    monkeypatch.setattr(answering, "chosen", noting)
    yield seen


def chosen(method: str, told: list[Any], text: str = LONG) -> tuple[list[int], int, Ids]:
    """The tokens of the text that a reader answers from, the room that it had, and the ids of the text."""
    with readers.begin_session(model(), method) as session:
        session.read(text)
        session.ask(ASKED, max_new_tokens=4).text  # noqa: B018
        assert isinstance(session, ReaderSession)
        ids = session._text.ids(session._text.whole)
    (ranges,), question = told[-1]
    return [number for start, end in ranges for number in range(start, end)], question.room, ids


def prompt(ids: Ids) -> Ids:
    """A piece with the question behind it, as the model is to see it."""
    template, encode = model().template, model().encoder.encode
    return [*template.head, *ids, *template.gap, *encode(ASKED).ids, *template.tail]


def key_products(ids: Ids, layer: int) -> list[float]:
    """Sum over heads of the last query with every key, turned, from transformers' modules."""
    made = llama()
    made.set_attn_implementation("eager")
    with torch.no_grad():
        states = made(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer]
        block = made.model.layers[layer]
        states = block.input_layernorm(states)
        shape = (1, len(ids), -1, block.self_attn.head_dim)
        q = block.self_attn.q_proj(states).view(shape).transpose(1, 2)
        k = block.self_attn.k_proj(states).view(shape).transpose(1, 2)
        q, k = apply_rotary_pos_emb(q, k, *made.model.rotary_emb(states, torch.arange(len(ids))[None]))
    share = q.shape[1] // k.shape[1]
    return [
        sum(float(q[0, head, -1] @ k[0, head // share, at]) for head in range(q.shape[1])) for at in range(len(ids))
    ]


@pytest.mark.parametrize("layer", [0, 1])
def test_gemfilter_keeps_the_tokens_with_the_best_smoothed_products(layer: int, told: list[Any]) -> None:
    found, room, ids = chosen(f"gemfilter(top_k=20,layer={layer})" if layer else "gemfilter(top_k=20)", told)
    layer = layer or round(13 / 32 * 2)
    head = len(model().template.head)
    scores: dict[int, float] = {}
    for start in range(0, len(ids), room):
        piece = ids[start : start + room]
        product = key_products(prompt(piece), layer)[head : head + len(piece)]
        for at in range(len(piece)):
            near = [product[other] for other in range(at - 2, at + 3) if 0 <= other < len(piece)]
            scores[start + at] = sum(near) / 5
    wanted = sorted(scores, key=lambda at: -scores[at])[:20]
    assert found == sorted(wanted)


def test_the_layer_is_the_papers_share_of_the_depth_unless_one_is_given(bundled: Model) -> None:
    def layer(text: str, hosted: Model) -> int:
        chosen = readers.parse(text)
        assert isinstance(chosen, Reader)
        strategy = chosen.strategy.resolve(hosted)
        assert isinstance(strategy, Sentences | EarlyLayer) and strategy.layer is not None
        return strategy.layer

    assert [layer(name, bundled) for name in ("infini_retri", "gemfilter")] == [3, 2]
    assert [layer(name, model()) for name in ("infini_retri", "gemfilter")] == [1, 1]
    for number in (0, 1):
        assert [layer(f"{name}(layer={number})", bundled) for name in ("infini_retri", "gemfilter")] == [number] * 2


@pytest.mark.parametrize("name", ["infini_retri", "gemfilter"])
def test_a_layer_that_the_model_lacks_is_refused_before_anything_is_read(name: str) -> None:
    with pytest.raises(MethodError, match="no layer 2: they are counted from 0 to 1"):
        readers.begin_session(model(), f"{name}(layer=2)")


@pytest.mark.parametrize(("kinds", "wanted"), [("sfss", [1, 1]), ("fsfs", [2, 2]), ("ssff", [3, 2]), ("ssss", [3, 2])])
def test_a_layer_that_sees_a_part_of_the_text_is_not_looked_at(kinds: str, wanted: list[int]) -> None:
    """s slides, f is full attention: the one next to the paper's, of four the last and the one at 13 of 32."""
    facts = [SimpleNamespace(index=at, sliding_window=16 if kind == "s" else None) for at, kind in enumerate(kinds)]
    hosted: Any = SimpleNamespace(hosted=SimpleNamespace(facts=facts))
    assert [chosen_layer(hosted, None, share) for share in (1.0, 13 / 32)] == wanted
    if "f" in kinds:
        with pytest.raises(MethodError, match="looks at the last 16 tokens only"):
            chosen_layer(hosted, kinds.index("s"), 1.0)


def test_gemfilter_keeps_no_more_than_fits(told: list[Any]) -> None:
    found, room, _ = chosen("gemfilter", told)
    assert len(found) == room < 1024


@pytest.mark.parametrize("top_k", [None, 2])
def test_xl3m_keeps_the_segments_with_the_lowest_entropy(top_k: int | None, told: list[Any]) -> None:
    options = "segment=17" + (f",top_k={top_k}" if top_k else "")
    found, room, ids = chosen(f"xl3m({options})", told)
    segments = [range(start, min(start + 17, len(ids))) for start in range(0, len(ids), 17)]
    uncertain = []
    for segment in segments:
        share = eager(llama(), prompt([ids[at] for at in segment]))[-1].double().softmax(-1)
        uncertain.append(-sum(float(p) * float(p.log()) for p in share))
    order = sorted(range(len(segments)), key=lambda number: uncertain[number])
    kept = sorted(order[: top_k or room // 17])
    assert found == [at for number in kept for at in segments[number]]


def eager_attention(ids: Ids) -> Tensor:
    """The last layer's weights summed over heads."""
    made = llama()
    made.set_attn_implementation("eager")
    with torch.no_grad():
        return made(torch.tensor([ids]), output_attentions=True).attentions[-1][0].sum(0).double()


def loops(ids: Ids, weights: list[float] | None) -> tuple[list[float], list[float]]:
    """InfiniRetri's score of every token of a piece, token by token, and the weights of the question's rows."""
    attention, head = eager_attention(prompt(ids)), len(model().template.head)
    first = head + len(ids) + len(model().template.gap)
    question = range(first, first + len(model().encoder.encode(ASKED).ids))
    weights = weights or [sum(float(attention[row, column]) for column in question) for row in question]
    scores = []
    for at in range(len(ids)):
        near = [other for other in range(at - 4, at + 4) if 0 <= other < len(ids)]
        scores.append(
            sum(
                weight**2 * sum(float(attention[row, head + other]) for other in near)
                for weight, row in zip(weights, question, strict=True)
            )
        )
    return scores, weights


def test_infini_retri_carries_the_sentences_that_are_attended_to(told: list[Any]) -> None:
    found, room, ids = chosen("infini_retri(window_length=40,top_k=6)", told)
    with readers.begin_session(model(), "xl3m") as session:
        session.read(LONG)
        assert isinstance(session, ReaderSession)
        ends = session._text.piece(0, len(ids)).ends
    piece = min(40, room // 2)
    borders = [match.end() for match in re.finditer(r"\n\n|(?<=[.!?])\s+", LONG)]
    sentence = [
        next(number for number, end in enumerate([*borders, len(LONG)]) if end >= ends[at]) for at in range(len(ids))
    ]
    kept: list[int] = []
    weights, start = None, 0
    while start < len(ids):
        end = min(start + piece, len(ids))
        if end < len(ids):
            whole = [at for at in range(start, end) if sentence[at] != sentence[end - 1]]
            end = whole[-1] + 1 if whole else end
        tokens = [*kept, *range(start, end)]
        scores, weights = loops([ids[at] for at in tokens], weights)
        top = sorted(range(len(tokens)), key=lambda number: -scores[number])[:6]
        carried: list[int] = []
        for number in top:
            mine = [at for at in tokens if sentence[at] == sentence[tokens[number]]]
            if mine[0] not in carried and len(carried) + len(mine) <= room - piece:
                carried += mine
        kept, start = sorted(carried), end
    assert found == kept
    assert 0 < len(found) <= room - piece < len(ids) // 4


def sentences_of(text: str) -> list[str]:
    """The text, cut where its sentences end."""
    return [text[low:high] for low, high in pairwise([0, *sentence_ends(text)])]


def test_sentences_end_where_a_reader_sees_it() -> None:
    """Numbers are not cut; a hard-wrapped sentence is one; lines of a table are one each."""
    prose = [
        "It is 3.14 m, v2.0.1.  ",
        'He said "No." ',
        "Was it\nso? ",
        "\u662f\u7684\u3002",
        "Yes!\n\n",
        "A title\n\n",
        "the end",
    ]
    assert sentences_of("".join(prose)) == prose
    table = [f"key {number}: value {number}\n" for number in range(40)]
    assert sentences_of("".join(table)) == table
    assert sentences_of("".join(table[:5])) == ["".join(table[:5])]
    assert sentences_of("x" * 1000) == ["x" * 1000]


@given(st.text(alphabet="a.! \n\u3002", max_size=900))
def test_sentences_are_the_text(text: str) -> None:
    assert "".join(sentences_of(text)) == text


def test_infini_retri_scores_by_hand() -> None:
    attended = np.zeros((2, 12), np.float32)
    attended[0, 5], attended[1, 0] = 1.0, 0.5
    found = token_scores(attended, np.array([2.0, 1.0], np.float32), 8)
    assert found.tolist() == [0.5, 0.5, 4.5, 4.5, 4.5, 4, 4, 4, 4, 4, 0, 0]


def test_infini_retri_leaves_out_the_worst_sentences_that_do_not_fit() -> None:
    sentences = [(0, 4), (4, 6), (6, 9), (20, 21)]
    score = np.array([0, 0, 0, 5, 9, 0, 0, 7, 0, 1], np.float32)
    assert best_sentences(sentences, score, 3, 99) == [(0, 4), (4, 6), (6, 9)]
    assert best_sentences(sentences, score, 3, 6) == [(4, 6), (6, 9)]
    assert best_sentences(sentences, score, 4, 6) == [(4, 6), (6, 9), (20, 21)]


def test_read_twice_puts_text_and_question_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Ids = []
    hosted = model().hosted
    forward = type(hosted).forward_together

    def noting(self: Any, chunks: Sequence[Chunk], *arguments: Any) -> Any:
        for chunk in chunks:
            seen.extend(chunk.ids_T.tolist())
        return forward(self, chunks, *arguments)

    monkeypatch.setattr(type(hosted), "forward_together", noting)
    text, asked = "It rained.", "Where?"
    with readers.begin_session(model(), "read_twice") as session:
        session.read(text)
        assert not session.counts.exact
        answer = session.ask(asked, max_new_tokens=1)
        assert answer.counts.seen == len(seen)
        assert not answer.counts.exact
    encode, template = model().encoder.encode, model().template
    once = [*encode(text).ids, *template.gap, *encode(asked).ids]
    assert seen == [*template.head, *once, *template.gap, *once, *template.tail]


def test_read_twice_reads_once_where_twice_does_not_fit_and_refuses_more() -> None:
    with readers.begin_session(model(), "read_twice") as session:
        session.read(SHORT)
        counts = session.ask(ASKED, max_new_tokens=1).counts
        assert counts.seen < WINDOW and counts.exact
        session.read(LONG)
        with pytest.raises(InputError, match="read_twice needs the whole text"):
            session.ask(ASKED)


@pytest.fixture(scope="module")
def haystack(bundled: Model) -> Sample:
    """A text of three windows with a needle."""
    space = Space(3 * bundled.window, lambda text: len(bundled.encoder.encode(text).ids), modes=())
    return needle.make(random.Random(2), space, needles=4, turns=3)


@pytest.mark.parametrize("name", ["xl3m", "infini_retri(layer=1)"])
def test_the_bundled_model_finds_needles_beyond_its_window(name: str, bundled: Model, haystack: Sample) -> None:
    with readers.begin_session(bundled, name, "64MiB") as session:
        session.read(haystack.document)
        for turn in haystack.turns:
            answer = session.ask(turn.query, prefix=turn.prefix, max_new_tokens=12)
            assert answer.text.strip() == turn.answer.strip()
            assert not answer.counts.exact
            best = answer.sources[0]
            (start, end) = haystack.spans(turn)[0]
            assert best.start < end and start < best.end
