"""Where words stand in the text, and which sentence is most like a reply."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from farspan.engine import passages, transcript
from farspan.engine.passages import likest_sentence, merged, occurrences, place_of, sentences
from farspan.text import TextSpool
from farspan.types import Source
from tests.tiny import model

TEXTS = ("The key is 42. Nobody came!\nIt rained? \n\n So it was", "The key is 17.\u6f22\u5b57\u3002\u304b\u306a")

EDGES = (len(TEXTS[0]), len(TEXTS[0]) + len(TEXTS[1]))


@pytest.fixture
def spool(tmp_path: Path) -> TextSpool:
    """Two documents, one of them twice."""
    made = TextSpool(tmp_path)
    for name, text in zip(("a", "b", "a"), (*TEXTS, TEXTS[0]), strict=True):
        made.begin(name)
        made.append(text)
        made.finish()
    return made


def of(spool: TextSpool, span: tuple[int, int] | None) -> str | None:
    """The text of a span."""
    return None if span is None else spool.slice(*span)


@pytest.mark.parametrize("piece", [1, 7, 20, 1000])
def test_every_occurrence(spool: TextSpool, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "_PIECE", piece)
    whole = spool.slice(0, spool.chars)
    for text in ("The key is", "e", "came!\nIt", "wasThe", "nothing", *TEXTS, whole):
        places = [match.span() for match in re.finditer(re.escape(text), whole)]
        wanted = [(start, end) for start, end in places if not any(start < edge < end for edge in EDGES)]
        assert list(occurrences(spool, text)) == wanted


@pytest.mark.parametrize("piece", [40, 60, 1000])
def test_sentences_whatever_the_piece(spool: TextSpool, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passages, "_PIECE", piece)
    found = list(sentences(spool))
    assert all(spool.slice(start, start + len(text)) == text for start, text in found)
    assert [text for _, text in found] == [
        "The key is 42.", "Nobody came!", "It rained?", "So it was", "The key is 17.\u6f22\u5b57\u3002",
        "\u304b\u306a", "The key is 42.", "Nobody came!", "It rained?", "So it was",
    ]  # fmt: skip


def test_a_text_without_sentences_is_cut(spool: TextSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of words longer than a piece nothing is lost."""
    monkeypatch.setattr(passages, "_PIECE", 3)
    found = list(sentences(spool))
    assert max(len(text) for _, text in found) <= 3
    assert "".join("".join(text for _, text in found).split()) == "".join(spool.slice(0, spool.chars).split())


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ("42", "The key is 42."),
        ("the KEY, I think, is 42", "The key is 42."),
        ("it is said that nobody came", None),
        ("nobody at all came", "Nobody came!"),
        ("rained", "It rained?"),
        ("\u6f22\u5b57", "The key is 17.\u6f22\u5b57\u3002"),
        ("", None),
        ("...", None),
        ("elephants", None),
    ],
)
def test_the_likest_sentence(spool: TextSpool, reply: str, sentence: str | None) -> None:
    found = likest_sentence(spool, reply)
    assert of(spool, found) == sentence
    assert found is None or found[0] < EDGES[1], "the first of equal ones"


def test_where_a_source_stands(spool: TextSpool) -> None:
    source = Source(file="a", start=15, end=27, line=1, text="Nobody came!", weight=1.0)
    assert list(place_of(spool, source)) == [(15, 27), (15 + EDGES[1], 27 + EDGES[1])]
    other = Source(file="b", start=15, end=27, line=1, text="Nobody came!", weight=1.0)
    assert not list(place_of(spool, other))


def test_merged() -> None:
    assert merged([(5, 7), (1, 3), (3, 4), (6, 9)]) == [(1, 4), (5, 9)]
    assert merged([]) == []


@pytest.mark.parametrize("piece", [5, 1000])
def test_the_tokens_of_a_passage(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of one whose characters take several tokens, of several passages, and of what a fork shares."""
    monkeypatch.setattr(transcript, "_PIECE_TOKENS", piece)
    with model().session("full") as session:
        for text in TEXTS:
            session.read(text)
        places = session._stream.places
        for wanted in ([(4, 7)], [(4, 7), (9, 20), (57, 66)], [(EDGES[1] - 3, EDGES[1])], [(0, EDGES[1])], []):
            runs = places.tokens(wanted)
            at = np.concatenate([np.arange(*run) for run in runs] or [np.empty(0, dtype=np.int64)])
            starts, ends = places.spans(np.arange(session.counts.seen))
            inside = [any(s < end and e > start for start, end in wanted) for s, e in zip(starts, ends, strict=True)]
            assert at.tolist() == np.flatnonzero(inside).tolist()
            with session.fork() as fork:
                session.generate("more", max_new_tokens=1).text  # noqa: B018
                assert fork._stream.places.tokens(wanted) == runs
