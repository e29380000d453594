"""Every method against a slow reference that was written from its paper: the same logits, token by token."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from farspan.engine import Model
from tests.methods.brute import BestKeys, Blocks, Brute, InfLLM, LMInfinite, RetroLM, Rule, Streaming, brutes, reference
from tests.tiny import different_ids, eager, llama, stream, tokenizer

WINDOW = 48
TOKENS = 144
BLOCKS = "n_init=3, n_local=20, block=5"
PAGES = BLOCKS.replace("block", "page")


@pytest.fixture(scope="module")
def model() -> Model:
    """A window of 48, so that a short text is several of them."""
    return Model(llama(max_position_embeddings=WINDOW), tokenizer(), "tiny")


CASES: dict[str, tuple[Callable[[], Rule], list[int]]] = {
    "streaming(start_size=3, recent_size=20)": (lambda: Streaming(3, 20), [1, 8]),
    "streaming": (lambda: Streaming(4, 44), [8]),
    "lm_infinite(n_global=3, n_local=20)": (lambda: LMInfinite(3, 20), [8]),
    "lm_infinite": (lambda: LMInfinite(10, 38), [8]),
    f"infllm({BLOCKS}, top_k=4, exc_block=8)": (lambda: InfLLM(WINDOW, 3, 20, 5, 4), [1, 8]),
    f"infllm({BLOCKS}, top_k=4, repr_top_k=1)": (lambda: InfLLM(WINDOW, 3, 20, 5, 4, representatives=1), [6]),
    f"infllm({BLOCKS}, top_k=4, exc_block=8, heads=own)": (lambda: InfLLM(WINDOW, 3, 20, 5, 4, own=True), [1, 8]),
    f"infllm({BLOCKS}, top_k=4, positions=compact)": (lambda: InfLLM(WINDOW, 3, 20, 5, 4, capped=False), [6]),
    f"retrolm({PAGES}, top_k=4, chunk=8)": (lambda: RetroLM(WINDOW, 3, 20, 5, 4), [1, 8]),
    f"retrolm({PAGES}, top_k=4, positions=compact)": (lambda: RetroLM(WINDOW, 3, 20, 5, 4, capped=False), [6]),
    f"topk({BLOCKS}, top_k=4, when=both)": (lambda: BestKeys(WINDOW, 3, 20, 5, 4), [8]),
    f"topk({BLOCKS}, top_k=1, when=both)": (lambda: BestKeys(WINDOW, 3, 20, 5, 1), [8]),
    f"topk({BLOCKS}, top_k=4, when=both, positions=compact)": (
        lambda: BestKeys(WINDOW, 3, 20, 5, 4, capped=False),
        [8],
    ),
}


@pytest.mark.parametrize(("method", "chunk"), [(name, chunk) for name, case in CASES.items() for chunk in case[1]])
def test_a_method_is_what_its_paper_says(model: Model, method: str, chunk: int) -> None:
    ids = different_ids(TOKENS, seed=3)
    wanted = reference(model.hosted, CASES[method][0], ids, chunk)
    with model.session(method, chunk=chunk) as session:
        logits = session.logits(ids)
        counts = session.counts
    torch.testing.assert_close(logits, wanted, atol=2e-5, rtol=0)
    assert not counts.exact
    beyond = eager(llama(max_position_embeddings=WINDOW), ids)[WINDOW:]
    assert (logits[WINDOW:] - beyond).abs().max() > 0.05, "this text does not tell the method from full attention"


def test_what_is_looked_up_matters(model: Model) -> None:
    """The comparisons above have teeth: other blocks, other logits."""
    ids = different_ids(TOKENS, seed=3)
    right = reference(model.hosted, lambda: BestKeys(WINDOW, 3, 20, 5, 4), ids, 8)
    for other in (BestKeys(WINDOW, 3, 20, 5, 3), InfLLM(WINDOW, 3, 20, 5, 4), Nothing(WINDOW, 3, 20, 5, 0)):
        assert (reference(model.hosted, lambda rule=other: type(rule)(**vars(rule)), ids, 8) - right).abs().max() > 1e-2


class Nothing(Blocks):
    """No block is ever fetched."""

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """None."""
        return []


class WhileAnswering(BestKeys):
    """Nothing is fetched before token `begins_at`."""

    begins_at = 10**9

    def choose(self, brute: Brute, head: int, token: int, q_D: Tensor) -> list[int]:
        """Blocks for tokens of the answer."""
        return super().choose(brute, head, token, q_D) if token >= self.begins_at else []


@pytest.mark.parametrize("recalls", [True, False])
def test_topk_reads_with_its_window_and_answers_with_recall(model: Model, recalls: bool) -> None:
    ids, count = different_ids(TOKENS, seed=5), 12
    ids, prompt = ids[:-9], ids[-9:]
    with model.session(f"topk({BLOCKS}, top_k=4)", chunk=16) as session:
        session.read(ids)
        assert session.counts.fetched == 0
        answer = session.generate(prompt, max_new_tokens=count)
        drawn = answer.ids
        assert session.counts.fetched > 0
    rules = [WhileAnswering(WINDOW, 3, 20, 5, 4) for _ in model.hosted.facts]
    for rule in rules:
        rule.begins_at = len(ids) if recalls else 10**9
    handlers = brutes(model.hosted, rules)
    stream(model.hosted, handlers, ids, 16)
    start, feed, wanted = len(ids), prompt, []
    for _ in range(count):
        logits = model.hosted.forward(torch.tensor(feed), start, handlers, "last")
        assert logits is not None
        start, feed = start + len(feed), [int(logits[0].argmax())]
        wanted += feed
        if feed[0] in model.eos:
            break
    assert (drawn == wanted) is recalls
