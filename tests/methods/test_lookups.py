"""Methods whose heads or layers look for themselves, against loops that were written from their papers.

Shapes: H query heads, G KV heads, T tokens of a chunk, N tokens so far, B tokens in a block, D key width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from farspan import methods
from farspan.cache.arena import Arena
from farspan.cache.columns import Rows
from farspan.engine import Model
from farspan.engine.kv import KVMemory
from farspan.engine.settings import KVSettings
from farspan.errors import MethodError
from farspan.methods.parts.block_tokens import BlockTokens
from farspan.methods.parts.index.chunk_keys import ChunkKeys
from farspan.types import Budget
from tests.methods.brute import Blocks, Brute, InfLLM, Keys, LMInfinite, Rule, brutes, reference, span
from tests.tiny import different_ids, eager, llama, tokenizer

WINDOW, TOKENS = 48, 144
SIZES = "n_init=3, n_local=20, block=5, exc_block=8, min_k=1, warmup_step=3"


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


def attended(q_D: Tensor, k_SD: Tensor, v_SD: Tensor) -> Tensor:
    """What one query reads."""
    return (k_SD @ q_D / len(q_D) ** 0.5).softmax(0) @ v_SD


@dataclass
class LongHeads(Blocks):
    """The chunks whose keys match the un-rotated query of this head and token best."""

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """Remember the queries."""
        super().begin(brute, q_HTD, start)
        self.q_HND = torch.cat((self.q_HND, q_HTD), 1) if start else q_HTD

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """By a loop over all chunks."""
        q_D = brute.turn(q_D[None], torch.zeros(1))[0]
        scores = [float(q_D @ self.chunk_key(brute, head, number)) for number in range(self.count)]
        return sorted(range(self.count), key=lambda number: -scores[number])[: self.top_k]

    def chunk_key(self, brute: Brute, head: int, number: int) -> Tensor:
        """As in the paper: attention inside the chunk, its mean asks the chunk's keys."""
        token_B, at_B = span(self.begins(number), self.begins(number + 1)), span(0, self.block)
        q_BD = brute.turn(self.q_HND[head, token_B], at_B)
        k_BD, v_BD = (x_GND[head // brute.group, token_B] for x_GND in (brute.k_GND, brute.v_GND))
        k_BD = brute.turn(k_BD, at_B)
        mean_D = torch.stack([attended(q_D, k_BD, v_BD) for q_D in q_BD]).mean(0)
        return attended(mean_D, k_BD, k_BD)


class OwnMeans(LongHeads):
    """The paper's idea removed: chunks by the mean of their keys."""

    def chunk_key(self, brute: Brute, head: int, number: int) -> Tensor:
        """No attention."""
        return brute.sought_GND[head // brute.group, self.begins(number) : self.begins(number + 1)].mean(0)


@dataclass
class ActQKV(InfLLM):
    """InfLLM's blocks by the cosine with a weighted mean query, as many as the layer gets of what `layers` share."""

    layers: list[ActQKV] = field(default_factory=list)
    fewest: int = 1
    samples: int = 3
    answering: bool = False

    def __post_init__(self) -> None:
        """The layers are computed in the order in which they are made."""
        self.layers.append(self)
        self.lookups: list[Tensor] = []
        self.entropies: list[float] = []

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """One lookup for the chunk."""
        Blocks.begin(self, brute, q_HTD, start)
        if self.all_true or not self.count:
            return
        q_TC = torch.cat([brute.turn(q_TD, torch.full((len(q_TD),), self.window)) for q_TD in q_HTD], 1)
        self.lookups.append(q_TC)
        probe_C = self.probe(q_TC, torch.cat(self.lookups))
        stands = [self.representative(brute, n).repeat_interleave(brute.group, 0).flatten() for n in range(self.count)]
        scores = torch.stack([torch.cosine_similarity(probe_C, stands_C, dim=0) for stands_C in stands])
        if self.count > 1:
            share_n = scores.double().softmax(0)
            self.entropies.append(float(-(share_n * share_n.log()).sum()) / math.log(self.count))
        self.spent = min(self.count, self.budget() if self.answering else self.top_k)
        self.chosen = [sorted(range(self.count), key=lambda n: -float(scores[n]))[: self.spent]] * len(q_HTD)

    def probe(self, q_TC: Tensor, known_NC: Tensor) -> Tensor:
        """Tokens count by their distance from everything that was looked up so far, where lookups are of one length."""
        mean_C, variance_C = known_NC.mean(0), known_NC.var(0) if len(known_NC) > 1 else 0 * known_NC[0]
        bias = [((q_C - mean_C) ** 2 / (variance_C + variance_C.mean() / 100)).mean() for q_C in q_TC]
        if len(bias) == 1:
            return q_TC[0]
        return sum(b * q_C for b, q_C in zip(bias, q_TC, strict=True)) / sum(bias)

    def budget(self) -> int:
        """What is left, by the layer's share of the entropy that is still to come."""
        place = next(number for number, layer in enumerate(self.layers) if layer is self)
        left = self.top_k * len(self.layers) - sum(layer.spent for layer in self.layers[:place])
        known = [layer.entropies[-self.samples :] for layer in self.layers]
        share = 1 / (len(self.layers) - place)
        if all(len(entropies) == self.samples for entropies in known):
            expected = [sum(entropies) / self.samples for entropies in known[place:]]
            share = expected[0] / sum(expected)
        return max(self.fewest, min(2 * self.top_k, round(share * left)))


class Unweighted(ActQKV):
    """The paper's idea removed: all tokens alike."""

    def probe(self, q_TC: Tensor, known_NC: Tensor) -> Tensor:
        """InfLLM's mean query."""
        return q_TC.mean(0)


@dataclass
class WithMiddle(LMInfinite):
    """LM-Infinite with the best keys of the middle for this head and token, all at half of the trained window."""

    top_k: int
    answers_from: int = 0

    def begin(self, brute: Brute, q_HTD: Tensor, start: int) -> None:
        """What had left the window before the chunk is in the middle."""
        self.middle = span(self.first, start - self.window)

    def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
        """The best by a loop over all keys."""
        met = super().meets(brute, head, token, q_D)
        if token < self.answers_from or not len(self.middle):
            return met
        turned_D = brute.turn(q_D[None], torch.tensor([WINDOW // 2]))[0]
        k_ND = brute.sought_GND[head // brute.group]
        best = sorted(self.middle.tolist(), key=lambda at: -float(k_ND[at] @ turned_D))[: self.top_k]
        return [*met, Keys(torch.tensor(best), span(0, 1).expand(len(best)), WINDOW // 2)]


CASES: dict[str, tuple[Callable[[], Rule], list[int]]] = {
    "longheads(window_size=5, atten_length=30)": (lambda: LongHeads(WINDOW, 5, 5, 5, 3, capped=False), [1, 8]),
    f"actqkv({SIZES}, top_k=4)": (lambda: ActQKV(WINDOW, 3, 20, 5, 4), [1, 8]),
    "lm_infinite(n_global=3, n_local=21, top_k=5, when=both)": (lambda: WithMiddle(3, 21, 5), [1, 8]),
    "longheads": (lambda: LongHeads(WINDOW, 3, 3, 3, 13, capped=False), [24]),
}


@pytest.mark.parametrize(("method", "chunk"), [(name, chunk) for name, case in CASES.items() for chunk in case[1]])
def test_a_method_is_what_its_paper_says(model: Model, method: str, chunk: int) -> None:
    ids = different_ids(TOKENS, seed=3)
    wanted = reference(model.hosted, CASES[method][0], ids, chunk)
    with model.session(method, chunk=chunk) as session:
        logits = session.logits(ids)
    torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
    beyond = eager(llama(max_position_embeddings=WINDOW), ids)[WINDOW:]
    assert (logits[WINDOW:] - beyond).abs().max() > 0.01, "this text does not tell the method from full attention"


@pytest.mark.parametrize("method", ["longheads(window_size=5, atten_length=30)", "topk(when=both)"])
def test_nothing_on_the_device_is_copied_for_queries_that_fetch_for_themselves(
    model: Model, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """However many they are: copies for each of them took most of the time that `longheads` reads."""
    ids, copied = different_ids(4 * TOKENS), list[Tensor]()
    gather = Arena.gather
    monkeypatch.setattr(
        Arena, "gather", lambda self, names, rows_NX, *at: copied.append(rows_NX) or gather(self, names, rows_NX, *at)
    )
    with model.session(method, chunk=32) as session:
        session.read(ids)
    assert not copied
    with model.session(method, "device=80KiB,disk=1GiB", chunk=32) as session:
        session.read(ids)
    assert copied


def test_chunk_keys_are_not_means(model: Model) -> None:
    """The comparison above has teeth."""
    ids = different_ids(TOKENS, seed=3)
    kinds = LongHeads, OwnMeans
    paper, mean = (
        reference(model.hosted, lambda kind=kind: kind(WINDOW, 5, 5, 5, 3, capped=False), ids, 8) for kind in kinds
    )
    assert (paper - mean).abs().max() > 0.01


@pytest.mark.parametrize(("option", "answers_from"), [("", (80, 80)), (", top_k_from_layer=1", (TOKENS, 80))])
def test_lm_infinite_takes_the_middle_in_from_a_layer_on_while_answering(
    model: Model, tmp_path: Path, option: str, answers_from: tuple[int, ...]
) -> None:
    ids = different_ids(TOKENS, seed=3)
    method = methods.parse(f"lm_infinite(n_global=3, n_local=20, top_k=5{option})")
    memory = KVMemory(KVSettings(model.hosted, method, Budget(), 8), tmp_path)
    rules = [WithMiddle(3, 20, 5, begins) for begins in answers_from]
    handlers = brutes(model.hosted, rules)
    start = 0
    while start < TOKENS:
        now = ids[start : start + min(memory.limit(start >= 80), 8 - start % 8)]
        wanted = model.hosted.forward(torch.tensor(now), start, handlers, "all")
        logits = memory.step(now, "all", answering=start >= 80)
        assert logits is not None and wanted is not None
        torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
        start += len(now)
    assert memory.counts().dropped == 0 < memory.layers[-1].fetched
    assert [layer.lost() > 0 for layer in memory.layers] == [bool(option), False]
    memory.close()


def test_lm_infinite_takes_the_middle_in_from_a_layer_that_there_is(model: Model) -> None:
    with pytest.raises(MethodError, match="2 first layers are all of the 2"):
        model.session("lm_infinite(top_k=5, top_k_from_layer=2)")


def test_weights_matter_to_a_probe(model: Model) -> None:
    """The same for the probe query."""
    ids = different_ids(TOKENS, seed=3)
    paper, mean = (
        reference(model.hosted, lambda kind=kind: kind(WINDOW, 3, 20, 5, 4), ids, 8) for kind in (ActQKV, Unweighted)
    )
    assert (paper - mean).abs().max() > 0.01


@pytest.mark.parametrize("flat", [0.2, 0.4])
def test_layers_share_a_budget_while_answering(model: Model, tmp_path: Path, flat: float) -> None:
    """The last layer is made to look as if its scores had not been even before, so that the first takes more."""
    ids = different_ids(TOKENS, seed=3)
    settings = KVSettings(model.hosted, methods.parse(f"actqkv({SIZES}, top_k=4)"), Budget(), 8)
    memory, layers = KVMemory(settings, tmp_path), list[ActQKV]()
    rules = [ActQKV(WINDOW, 3, 20, 5, 4, layers=layers) for _ in model.hosted.facts]
    handlers = brutes(model.hosted, rules)
    shares = []
    for start in range(0, TOKENS, 8):
        for rule in rules:
            rule.answering = start >= 88
        if start == 88:
            rules[-1].entropies[-3:] = [flat * value for value in rules[-1].entropies[-3:]]
            memory.layers[-1].carried["entropies"] = torch.tensor(rules[-1].entropies[-3:])
        wanted = model.hosted.forward(torch.tensor(ids[start : start + 8]), start, handlers, "all")
        logits = memory.step(ids[start : start + 8], "all", answering=start >= 88)
        assert logits is not None and wanted is not None
        torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
        shares += [[rule.spent for rule in rules]] if start >= 88 else []
    memory.close()
    assert shares[0] == ([7, 1] if flat == 0.2 else [6, 2])
    assert all(sum(share) == 8 for share in shares)
    assert shares[-1] == [4, 4], "as even as they are, layers share alike"


def test_longheads_never_meets_more_than_its_budget_one_token_at_a_time(model: Model) -> None:
    """The first chunk, the last two and the chosen ones, which is `atten_length` tokens at most."""
    most = 0

    class Counting(LongHeads):
        def meets(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[Keys]:
            nonlocal most
            met = super().meets(brute, head, token, q_D)
            if not self.all_true:
                most = max(most, sum(len(keys.token_S) for keys in met))
                assert met[-1].query_at < 30
            return met

    reference(model.hosted, lambda: Counting(WINDOW, 5, 5, 5, 3, capped=False), different_ids(TOKENS), 1)
    assert most == 30


def test_what_is_broken_off_while_blocks_are_made_goes_on_as_before(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, rows, left = different_ids(TOKENS), ChunkKeys.rows, 3

    def failing(self: ChunkKeys, blocks: BlockTokens) -> Rows:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return rows(self, blocks)

    with model.session("longheads", chunk=8) as broken, model.session("longheads", chunk=8) as other:
        other.read(ids[:64])
        monkeypatch.setattr(ChunkKeys, "rows", failing)
        broken.read(ids[:48])
        with pytest.raises(KeyboardInterrupt):
            broken.read(ids[48:64])
        counts = broken.counts
        assert 48 <= counts.seen == counts.kept + counts.stored + counts.dropped < 64
        broken.read(ids[counts.seen : 64])
        assert torch.equal(broken.logits(ids[64:]), other.logits(ids[64:]))


def test_the_papers_numbers() -> None:
    plan = methods.parse("longheads").resolve(4096)
    assert (plan.sinks, plan.window, plan.block, plan.select.count) == (256, 256, 256, 13)
    plan = methods.parse("actqkv").resolve(4096)
    assert (plan.sinks, plan.window, plan.block, plan.select.chunk) == (64, 512, 32, 256)
