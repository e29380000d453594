"""A fork is the session as it was: it shows nothing of what that one reads later."""

from __future__ import annotations

from pathlib import Path

import pytest

import farspan
from farspan.engine.once import Once
from farspan.errors import InputError
from tests.tiny import model, random_ids

STEERED = "pasta(heads='all', alpha=0.001)"


def test_a_fork_knows_nothing_of_what_its_parent_reads_later(tmp_path: Path) -> None:
    with model().session(STEERED) as session:
        session.read("The first text. ")
        before = session.files
        with session.fork() as fork, fork.fork() as grandchild:
            session.read("A second one, which is secret. ")
            for each in (fork, grandchild):
                assert each.files == before
                assert each.quote("<text>") == "The first text. "
                with pytest.raises(InputError, match="not in what was read"):
                    each.ask("what?", highlight="secret")
            fork.save(tmp_path / "copy")
            assert len(session.files) == 2 and session.quote("<text>").startswith("A second")
        with farspan.open(tmp_path / "copy", model()) as opened:
            assert opened.files == before


def test_layers_with_windows_of_their_own_meet_their_own_places(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = "infllm(block=16, top_k=2, n_local={}, n_init=4, repr_top_k=2, positions=compact)"
    answers = []
    for shared in (True, False):
        if not shared:
            monkeypatch.setattr(Once, "__call__", lambda once, key, make: make())
        method = f"{layer.format(32)}[:1]+{layer.format(48)}+{STEERED}"
        with model().session(method, chunk=32) as session:
            session.read("abcdefg " * 40 + "needle here " + "xyz " * 8)
            answer = session.ask("q", highlight="needle here", max_new_tokens=8, ignore_eos=True, logprobs=1)
            answers.append((answer.ids, [round(each.logprob, 4) for each in answer.likely], answer.sources))
    assert answers[0] == answers[1]


def test_ids_stay_what_a_fork_has_read() -> None:
    with model().session() as session:
        session.read("The first text. ")
        with session.fork() as fork:
            session.read(random_ids(20))
            fork.read("More. ")
            assert [file["chars"] for file in fork.files] == [16, 6]
