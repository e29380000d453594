"""Drawing tokens and streaming their text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import farspan
from farspan.engine.sampling import Sampler, Sampling
from farspan.errors import UsageError
from tests.engine.conftest import Fed
from tests.tiny import model, random_ids, tokenizer

END = 3


class Script:
    """Draws what it is told."""

    def __init__(self, ids: Iterable[int]) -> None:
        self.ids = iter(ids)

    def __call__(self, *_: object) -> int:
        return next(self.ids)


def say(monkeypatch: pytest.MonkeyPatch, ids: list[int]) -> None:
    """Let every sampler draw these tokens."""
    monkeypatch.setattr(Sampler, "draw", Script(ids))


WORDS = st.lists(
    st.sampled_from(["the ", "\U0001f99c", "漢字", "d\u00e9j\u00e0", "and", " ", "\n", "a", "ab"]),
    min_size=1,
    max_size=9,
)


@settings(max_examples=40, deadline=None)
@given(words=WORDS, ends=st.booleans(), data=st.data())
def test_pieces_are_the_text_up_to_the_first_stop(words: list[str], ends: bool, data: st.DataObject) -> None:
    said = "".join(words)
    ids = tokenizer().encode(said) + [END] * ends
    start = data.draw(st.integers(0, len(said) - 1))
    stop = said[start : start + data.draw(st.integers(1, 6))]
    for stops, wanted in (([], said), ([stop], said[: said.find(stop)]), (["never", stop], said[: said.find(stop)])):
        with pytest.MonkeyPatch.context() as patched, model().session("streaming") as session:
            say(patched, ids)
            answer = session.generate("x", max_new_tokens=len(ids), stop=stops)
            pieces = list(answer)
        assert all(pieces)
        assert "".join(pieces) == answer.text == wanted
        assert answer.ids == ids[: len(answer.ids)]
        assert bool(stops) or answer.ids == ids
        assert answer.usage.completion_tokens == len(answer.ids)


def test_a_character_is_given_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = tokenizer().encode("a\U0001f99cb")
    say(monkeypatch, ids)
    with model().session() as session:
        assert list(session.generate("x", max_new_tokens=len(ids))) == ["a", "\U0001f99c", "b"]
    say(monkeypatch, ids[:3])
    with model().session() as session:
        answer = session.generate("x", max_new_tokens=3)
        assert "".join(answer) == answer.text
        assert answer.text.startswith("a")


def test_the_end_and_special_tokens_are_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, [*tokenizer().encode("so"), 2, *tokenizer().encode("on"), END, 99])
    with model().session() as session:
        answer = session.generate("x", max_new_tokens=50)
        assert answer.text == "soon"
        assert answer.ids[-1] == END and 99 not in answer.ids
        assert session.counts.seen == 1 + len(answer.ids) - 1


def test_the_end_may_be_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [*tokenizer().encode("so"), END, *tokenizer().encode("on")]
    say(monkeypatch, drawn)
    with model().session() as session:
        answer = session.generate("x", max_new_tokens=len(drawn), ignore_eos=True)
        assert answer.ids == drawn and answer.text == "soon"


def test_a_stop_may_be_a_string(monkeypatch: pytest.MonkeyPatch) -> None:
    say(monkeypatch, tokenizer().encode("one. two. three."))
    with model().session() as session:
        assert session.generate("x", max_new_tokens=20, stop=". t").text == "one"


def test_what_was_broken_off_gives_what_there_is(monkeypatch: pytest.MonkeyPatch, fed: Fed) -> None:
    said = tokenizer().encode("one two three")
    say(monkeypatch, said)
    with model().session() as session:
        answer = session.generate("x", max_new_tokens=30)
        assert next(iter(answer)) == "o"
        answer.close()
        drawn = answer.ids
        assert answer.text == "o" and drawn == said[: len(drawn)] and len(drawn) < 3
        assert answer.usage.completion_tokens == len(drawn)
        assert list(answer) == []
        again = session.generate(max_new_tokens=3).ids
        assert drawn + again == said[: len(drawn) + 3]
    assert fed.take() == tokenizer().encode("x") + drawn + again[:-1]


def test_a_session_that_is_closed_breaks_its_answers_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    say(monkeypatch, tokenizer().encode("one two three"))
    with model().session(path=tmp_path / "kept") as session:
        session.read("alpha")
        asked, other = (session.ask("what?", max_new_tokens=30) for _ in range(2))
        said = session.chat("and?", max_new_tokens=30)
        begun = [next(iter(asked)), "", next(iter(said))]
    assert [answer.text for answer in (asked, other, said)] == begun
    with farspan.open(tmp_path / "kept", model()) as session:
        assert session.counts.seen == said.counts.seen


def test_counts_of_an_answer_are_those_of_its_end() -> None:
    with model().session("topk", chunk=16) as session:
        session.read(random_ids(400))
        answer = session.ask("where?", max_new_tokens=4)
        assert answer.text is not None
        assert answer.counts.fetched > session.counts.fetched == 0
        assert answer.counts.seen == answer.usage.context_tokens + answer.usage.prompt_tokens + len(answer.ids) - 1


def test_usage() -> None:
    with model().session() as session:
        session.read("alpha")
        seen = session.counts.seen
        usage = session.ask("one?", max_new_tokens=3).usage
    assert usage.context_tokens == seen
    assert usage.prompt_tokens == len(model().encoder.encode("\n\n").ids + model().encoder.encode("one?").ids) + 2
    assert usage.completion_tokens == 3


def test_a_seed_is_a_text() -> None:
    def text(**how: object) -> list[int]:
        with model().session() as session:
            return session.generate("alpha", max_new_tokens=12, **how).ids

    greedy = text()
    assert text(temperature=1.0, seed=5) == text(temperature=1.0, seed=5)
    assert len({tuple(text(temperature=1.0, seed=seed)) for seed in range(4)}) > 1
    assert len({tuple(text(temperature=1.0)) for _ in range(4)}) > 1
    assert text(temperature=0.0, seed=9) == greedy == text(temperature=1.0, top_p=1e-6, seed=1)
    assert text(temperature=1e-4, seed=2) == greedy


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 0.8), (1.0, 0.6)])
def test_draws_follow_the_distribution(temperature: float, top_p: float) -> None:
    logits_V = torch.tensor([0.3, 2.0, -1.0, 1.5, 0.0])
    share_V = torch.softmax(logits_V / temperature, 0)
    kept: list[int] = []
    for token in share_V.argsort(descending=True).tolist():
        if sum(share_V[kept].tolist()) < top_p:
            kept.append(token)
    wanted = {token: float(share_V[token] / share_V[kept].sum()) for token in kept}
    sampler = Sampling(temperature=temperature, top_p=top_p, seed=1).sampler()
    drawn = Counter(sampler.draw(logits_V) for _ in range(4000))
    assert set(drawn) <= set(wanted)
    for token, share in wanted.items():
        assert abs(drawn[token] / 4000 - share) < 0.035


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": float("nan")},
        {"seed": 1 << 64},
        {"seed": -(1 << 63) - 1},
    ],
)
def test_numbers_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError) as caught:
        Sampling(**wrong)  # type: ignore[arg-type]
    assert next(iter(wrong)) in caught.value.message and caught.value.fix
