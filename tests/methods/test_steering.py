"""PASTA against attention weights scaled and made to sum to one by hand, and AutoPASTA on the bundled model."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

import farspan
from farspan import methods
from farspan.engine import Model
from farspan.engine.folding import Folding
from farspan.engine.highlight import Highlight, Runs
from farspan.engine.watch import Watch
from farspan.errors import InputError, MethodError, UsageError
from farspan.methods.parts.combine.softmax import Softmax
from farspan.methods.parts.combine.steering import HeadSet, Steering
from tests.methods.brute import BestKeys, Brute, Keys, Rule, span, true
from tests.tiny import different_ids, llama, stream, tokenizer
from tests.tiny import model as whole_tiny

WINDOW, READ, PROMPT, DRAWN = 48, 120, 8, 4
RUNS = ((31, 38), (70, 71))
TEXT = different_ids(READ + PROMPT + DRAWN, seed=3)
BLOCKS = "n_init=3, n_local=20, block=5, when=both"


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


class Full:
    """Every token at its own place."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Nothing to do."""

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """All so far."""
        return [true(span(0, token + 1), token)]


class Pinned(BestKeys):
    """The best block, and for an answer those of the highlighted tokens too, in layers where a head is steered."""

    pins = True
    runs = RUNS

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """Each once."""
        lit = [at for low, high in self.runs for at in range(low, high)] if self.pins and token >= READ else []
        rows = {(at - self.sinks) // self.block for at in lit if at >= self.sinks}
        return list({*super().choose(brute, head, token, q_D), *(row for row in rows if row < self.count)})


class Steered(Brute):
    """Takes the softmax first, then scales what is outside the highlight, then makes the weights sum to one."""

    def __init__(
        self, model: Model, layer: int, rule: Rule, alpha: float, heads: set[tuple[int, int]], runs: Runs
    ) -> None:
        super().__init__(model.hosted, layer, rule)
        self.runs = runs
        self.alpha = alpha
        self.heads = {head for at, head in heads if at == layer}

    def _answer(self, head: int, token: int, q_D: Tensor, scaling: float) -> Tensor:
        met = self.rule.meets(self, head, token, q_D)
        token_S = torch.cat([keys.token_S for keys in met])
        group = head // self.group
        turned = [
            self.turn(self.k_GND[group, keys.token_S], keys.at_S)
            @ self.turn(q_D[None], torch.tensor([keys.query_at]))[0]
            for keys in met
        ]
        weight_S = (torch.cat(turned) * scaling).softmax(0)
        if head in self.heads and token >= READ:
            lit = {at for low, high in self.runs for at in range(low, high)} | set(range(READ + PROMPT, len(TEXT)))
            weight_S = weight_S * torch.tensor([1.0 if int(at) in lit else self.alpha for at in token_S])
            weight_S = weight_S / weight_S.sum()
        return weight_S @ self.v_GND[group, token_S]


def by_hand(model: Model, rules: list[Rule], alpha: float, heads: set[tuple[int, int]], runs: Runs = RUNS) -> Tensor:
    """The logits at the end of the prompt and at every token of the answer."""
    handlers = [Steered(model, at, rule, alpha, heads, runs) for at, rule in enumerate(rules)]
    stream(model.hosted, handlers, TEXT[:READ], 8)
    rows, start = [], READ
    for count in (PROMPT, *[1] * DRAWN):
        rows.append(model.hosted.forward(torch.tensor(TEXT[start : start + count]), start, handlers, "last"))
        start += count
    return torch.cat([row for row in rows if row is not None])


def answered(model: Model, method: str, runs: Runs | None) -> Tensor:
    """The same by a session."""
    with model.session(method, chunk=8) as session:
        session.read(TEXT[:READ])
        with session.fork() as fork:
            fork._stream.kv.highlight = None if runs is None else Highlight(runs)
            fed = [TEXT[READ : READ + PROMPT], *([token] for token in TEXT[READ + PROMPT :])]
            rows = [fork._stream.feed(ids, Watch()) for ids in fed]
            assert fork.counts.exact == (runs is None and "topk" not in method)
    return torch.stack(rows)


ALL = {(layer, head) for layer in range(2) for head in range(4)}
SOME = {(0, 1), (1, 0), (1, 3)}
CASES = {
    "pasta": (ALL, 0.01, lambda: Full()),
    "pasta(alpha=0.3, heads='0:1;1:0,3')": (SOME, 0.3, lambda: Full()),
    f"topk({BLOCKS}, top_k=1)+pasta(heads='0:1;1:0,3')": (SOME, 0.01, lambda: Pinned(WINDOW, 3, 20, 5, 1)),
    f"topk({BLOCKS}, top_k=4)+pasta": (ALL, 0.01, lambda: Pinned(WINDOW, 3, 20, 5, 4)),
}


@pytest.mark.parametrize("method", CASES)
def test_weights_are_scaled_and_sum_to_one(model: Model, method: str) -> None:
    heads, alpha, rule = CASES[method]
    found = answered(model, method, RUNS)
    wanted = by_hand(model, [rule() for _ in model.hosted.facts], alpha, heads)
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=0)
    assert (found - answered(model, method, None)).abs().max() > 0.05, "steering makes no difference"


@pytest.mark.parametrize("runs", [((1, 2),), ((READ - 6, READ - 2),), ((1, 5), (60, READ))])
def test_highlighted_tokens_that_are_first_or_recent(model: Model, runs: Runs) -> None:
    """They lie in no block, or some of them do."""
    rules = [Pinned(WINDOW, 3, 20, 5, 1) for _ in model.hosted.facts]
    for rule in rules:
        rule.runs = runs
    found = answered(model, f"topk({BLOCKS}, top_k=1)+pasta", runs)
    torch.testing.assert_close(found, by_hand(model, [*rules], 0.01, ALL, runs), atol=5e-5, rtol=0)


def test_other_heads_are_as_they_were(model: Model) -> None:
    """Steering nothing, or with an alpha of one, is no steering."""
    plain = answered(model, "pasta", None)
    assert torch.equal(answered(model, "pasta(alpha=1.0)", RUNS), plain)
    assert torch.equal(answered(model, "full", None), plain)
    highlight = Highlight(RUNS)
    steering = methods.parse("pasta(heads='1:3')").resolve(64).combine.steering
    assert steering is not None
    assert highlight.focus(steering.outside(0, range(4))) is None
    assert highlight.focus(steering.outside(1, [0, 1])) is None
    focus = highlight.focus(steering.outside(1, range(4)))
    assert focus is not None and focus.outside_H.nonzero().flatten().tolist() == [3]


def test_the_blocks_of_the_highlight_are_fetched_and_that_matters(model: Model) -> None:
    rules: list[Rule] = [Pinned(WINDOW, 3, 20, 5, 1) for _ in model.hosted.facts]
    for rule in rules:
        rule.pins = False
    found = answered(model, f"topk({BLOCKS}, top_k=1)+pasta", RUNS)
    assert (found - by_hand(model, rules, 0.01, ALL)).abs().max() > 0.01


def test_a_highlight_ends_where_its_last_token_does() -> None:
    focus = Highlight(((3, 5), (5, 6), (9, 10))).until(12).until(99).focus
    steering = methods.parse("pasta(alpha=0.5)").resolve(64).combine.steering
    assert steering is not None
    at = focus(steering.outside(0, range(4)))
    assert at is not None
    bias = at.bias(torch.arange(14)[None], folding())
    assert bias.shape == (1, 8, 14) and (bias == bias[:, :1]).all()
    assert (bias[0, 0] == 0).nonzero().flatten().tolist() == [3, 4, 5, 9, 12, 13]
    assert bias.min() == bias[0, 0, 0] == pytest.approx(-0.6931, abs=1e-3)
    assert at.blocks(1, 4, range(9)).tolist() == [0, 1, 2]
    assert at.blocks(1, 4, range(1, 2)).tolist() == [1]


def folding() -> Folding:
    """For two tokens."""
    return Folding(4, 1, 2)


def test_heads_as_text() -> None:
    heads = HeadSet.parse(" 3:17,7; 8:28 ")
    assert heads == HeadSet(((3, (17, 7)), (8, (28,))))
    assert heads.mask(3, range(32)).nonzero().flatten().tolist() == [7, 17]
    assert not heads.mask(4, range(32)).any() and HeadSet.parse("all").mask(4, range(32)).all()
    assert methods.parse("pasta").resolve(64).combine == Softmax(Steering(0.01, HeadSet()))
    heads.check([32] * 9)
    for method, missing in (("pasta(heads='1:4')", "no head 4"), ("autopasta(heads='0:1;2:0')", "no layer 2")):
        with pytest.raises(MethodError, match=missing):
            whole_tiny().session(method)


@pytest.mark.parametrize(
    "method", ["pasta(heads='some')", "pasta(heads='3')", "pasta(alpha=0.0)", "autopasta(alpha=2)"]
)
def test_keywords_that_say_nothing(method: str) -> None:
    with pytest.raises(MethodError) as caught:
        methods.parse(method)
    assert caught.value.fix


FIRST, SECOND = "The number of the amber castle is 48213.", "The number of the amber castle is 77120."
THIRD = "The number of the silver lake is 30517."
RAIN, QUIET = "It rained all day and nobody came. ", "Nobody went out, so it was quiet. "
BOOK = RAIN * 12 + FIRST + "\n" + QUIET * 10 + SECOND + "\n" + RAIN * 10 + THIRD + " " + QUIET * 3
QUESTION = "What is the number of the amber castle?"


@cache
def bundled() -> Model:
    """The model that comes with farspan."""
    return farspan.load()


@pytest.mark.parametrize("method", ["pasta", "topk(top_k=1)+pasta"])
def test_an_answer_is_what_was_highlighted(method: str, tmp_path: Path) -> None:
    """Of two numbers of the same castle, in a text and in two files; also when it is a source of another answer."""
    for name, text in (("a.txt", BOOK[:600]), ("b.txt", BOOK[600:] + 20 * RAIN)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with bundled().session(method, "32MiB") as session:
        session.read(BOOK if method == "pasta" else tmp_path)
        counts = session.counts
        assert session.ask(QUESTION, max_new_tokens=6).text.strip() == "77120"
        answer = session.ask(QUESTION, highlight=FIRST, max_new_tokens=6)
        assert answer.text.strip() == "48213" and answer.sources[0].text == FIRST
        assert not answer.counts.exact
        for given in (answer.sources[0], [answer.sources[0]], ["48213"]):
            assert session.ask(QUESTION, highlight=given, max_new_tokens=6).text.strip() == "48213"
        assert session.ask(QUESTION, highlight=[SECOND], max_new_tokens=6).text.strip() == "77120"
        assert session.counts == counts


def test_the_model_says_itself_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Highlight | None] = []
    until = Highlight.until
    monkeypatch.setattr(Highlight, "until", lambda self, end: [given.append(self), until(self, end)][1])
    with bundled().session("autopasta") as session:
        session.read(BOOK)
        counts = session.counts
        answer = session.ask("What is the number of the silver lake?", max_new_tokens=6)
        assert answer.text.strip() == "30517"
        assert not answer.counts.exact and session.counts == counts
        assert given[0] is not None
        (run,) = given[0].runs
        starts, ends = session._stream.places.spans(torch.arange(*run).numpy())
        assert BOOK[starts[0] : ends[-1]].strip() == THIRD
        given.clear()
        assert session.ask("Who?", max_new_tokens=6, highlight=()).counts.exact
        assert not given


def test_what_cannot_be_highlighted() -> None:
    with bundled().session("full") as plain, bundled().session("pasta") as session:
        for each in (plain, session):
            each.read(BOOK)
        with pytest.raises(UsageError, match="highlight") as caught:
            plain.ask(QUESTION, highlight=FIRST)
        assert "full+pasta" in caught.value.fix
        for passage in ("The number of the golden castle", "  ", farspan.Source(**SOURCE)):
            with pytest.raises(InputError):
                session.ask(QUESTION, highlight=passage)


SOURCE = {"file": "other.txt", "start": 3, "end": 9, "line": 1, "text": "ained ", "weight": 1.0}
