"""An answer's sources are the places in the user's files that it attended to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import farspan
from farspan.engine import Model, Session
from tests.attention.families import build
from tests.engine.conftest import BOOK
from tests.tiny import VOCABULARY, every_method, llama, model, tokenizer

WINDOW, WIDTH, STILL = 128, 128, 40
NEEDLE = "The key to the @ is 4711."
FILLER = ["漢字かな。", "It rained all day; d\u00e9j\u00e0 vu.", "", "Nobody came, and nobody went! So it was."]


@pytest.fixture(scope="module")
def mirror() -> Model:
    """A model whose every token attends to the same token elsewhere, at any distance."""
    rope = {"rope_type": "default", "rope_theta": 1e9}
    sizes = {"hidden_size": WIDTH, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": WIDTH}
    made = build(
        "Llama",
        vocab_size=VOCABULARY,
        max_position_embeddings=WINDOW,
        num_hidden_layers=1,
        rope_parameters=rope,
        **sizes,
    )
    attention = made.model.layers[0].self_attn
    chosen = torch.zeros(WIDTH, WIDTH)
    for dim in range(STILL):  # the slow half of the rotations hardly turns
        chosen[WIDTH // 2 - 1 - dim // 2 + (WIDTH // 2) * (dim % 2), dim] = 3.5
    torch.nn.init.normal_(made.model.embed_tokens.weight, generator=torch.Generator().manual_seed(1))
    attention.q_proj.weight.data.copy_(chosen)
    attention.k_proj.weight.data.copy_(chosen)
    return Model(made, tokenizer(), "mirror")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Three files with a needle in the middle of the second."""
    for name in ("a.txt", "b.txt", "c.txt"):
        lines = FILLER * 6
        if name == "b.txt":
            lines.insert(13, NEEDLE)
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def check_sources(session: Session, sources: list[farspan.Source], texts: dict[str, str]) -> None:
    """Each stands where it says, and they are sorted."""
    assert [source.weight for source in sources] == sorted((source.weight for source in sources), reverse=True)
    assert sum(source.weight for source in sources) <= 1 + 1e-5
    for source in sources:
        text = texts[source.file]
        assert 0 <= source.start < source.end <= len(text)
        assert source.text == text[source.start : source.end]
        assert source.line == text[: source.start].count("\n") + 1
        assert source.weight > 0
    assert session.counts.seen


@pytest.mark.parametrize("method", ["full", "topk(top_k=2)", "topk(top_k=2, positions=compact)", "infllm(top_k=1000)"])
@pytest.mark.parametrize("chunk", [9, 512])
def test_the_top_source_holds_the_needle(mirror: Model, library: Path, method: str, chunk: int) -> None:
    texts = {str(path): path.read_text(encoding="utf-8") for path in library.iterdir()}
    with mirror.session(method, chunk=chunk) as session:
        session.read(library)
        assert session.counts.seen > 6 * WINDOW
        answer = session.generate(tokenizer().encode("which @"), max_new_tokens=1)
        best = answer.sources[0]
        check_sources(session, answer.sources, texts)
    assert best.file == str(library / "b.txt") and best.line == 14
    assert "@" in best.text and best.text in NEEDLE
    assert best.weight > 0.9


@pytest.mark.parametrize("method", ["full", "topk(top_k=2)", "infllm(top_k=1000, n_init=7)"])
def test_a_source_is_the_very_token(mirror: Model, tmp_path: Path, method: str) -> None:
    """Wherever it lies: among the first tokens, in a block, or in the window."""
    lines = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$%&*+#"
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(lines * 3), encoding="utf-8")
    path.write_text(f"@\n{path.read_text()}\n", encoding="utf-8")
    with mirror.session(method, chunk=9) as session:
        session.read(path)
        assert session.counts.seen > 3 * WINDOW
        for asked, times in (("@", 1), ("k", 3), ("#", 3), ("a", 3)):
            with session.fork() as fork:
                sources = fork.generate(tokenizer().encode(f"? {asked}"), max_new_tokens=1).sources
            found = [source for source in sources if source.weight > 0.05]
            assert {source.text.strip() for source in found} == {asked}
            assert len(found) <= times
            assert all(source.line % len(lines) == (lines.find(asked) + 2) % len(lines) for source in found)


def test_what_was_forgotten_is_no_source(mirror: Model, library: Path) -> None:
    with mirror.session("streaming") as session:
        session.read(library)
        sources = session.generate(tokenizer().encode("which @"), max_new_tokens=1).sources
    assert all(NEEDLE not in source.text for source in sources)


def test_sources_after_saving_and_in_a_fork(mirror: Model, library: Path, tmp_path: Path) -> None:
    with mirror.session("topk") as session:
        session.read(library)
        session.save(tmp_path / "saved")
        with session.fork() as fork:
            fork.read("Something else with an @ in it.")
            found = fork.generate(tokenizer().encode("which @"), max_new_tokens=1).sources
            assert {Path(source.file).name for source in found[:2]} == {"b.txt", "<text>"}
    with farspan.open(tmp_path / "saved", mirror) as opened:
        found = opened.generate(tokenizer().encode("which @"), max_new_tokens=1).sources
    assert found[0].text in NEEDLE and "@" in found[0].text


@pytest.mark.parametrize("method", every_method())
def test_sources_of_any_answer_stand_where_they_say(method: str, book: Path) -> None:
    with model().session(method, chunk=16) as session:
        session.read(book)
        for answer in (session.ask("what is it?", max_new_tokens=8), session.chat("and what else?", max_new_tokens=8)):
            assert answer.sources
            check_sources(session, answer.sources, {str(book): BOOK})


def test_an_answer_to_no_text_has_no_sources() -> None:
    with model().session() as session:
        assert session.ask("who?", max_new_tokens=3).sources == []
        session.read([5, 6, 7])
        assert session.ask("who?", max_new_tokens=3).sources == []
    assert llama().config.vocab_size == VOCABULARY
