"""The prose: every package is needed, what is damaged is named, HTML and R's own format become text."""

from __future__ import annotations

import gzip
import random
import re
import zlib
from pathlib import Path

import pytest

from farspan.errors import InputError
from farspan.recipes import corpus

LONG = "It was a dark night. " * 120


def packed(*lines: str) -> bytes:
    """Lines as one object of an R lazy-load database."""
    vector = b"".join(b"\0\4\0\x09" + len(line).to_bytes(4, "big") + line.encode() for line in lines)
    return b"\0\0\0\0" + zlib.compress(vector)


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A folder in which all packages lie, with one text each."""
    share = tmp_path / "usr/share"
    for path, data in {
        tmp_path / "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb": packed(*["Emma was handsome."] * 200),
        share / "doc/anarchism/html/a.html": b"<p>An anarchist</p>" * 200,
        share / "go-1.19/src/testdata/Isaac.Newton-Opticks.txt": LONG.encode(),
        share / "dictd/devil.dict.dz": gzip.compress(LONG.encode()),
        share / "dictd/jargon.dict.dz": gzip.compress(LONG.encode()),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path


def test_texts_come_in_a_fixed_order(unpacked: Path) -> None:
    emma, page, *others = corpus.texts(unpacked)
    assert emma == "\n".join(["Emma was handsome."] * 200)
    assert page.startswith("An anarchist\n\nAn anarchist")
    assert others == [LONG] * 3
    assert corpus.name([emma, page]) != corpus.name([emma + page]) != corpus.name([page, emma])


def test_every_package_that_is_missing_is_named(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "usr/share/dictd/devil.dict.dz").unlink()
    (unpacked / "usr/share/doc/anarchism/html/a.html").write_text("<p>cut short</p>")
    with pytest.raises(InputError, match=r"no training text of anarchism, dict-devil under .*") as told:
        corpus.texts(unpacked)
    assert "apt-get download anarchism dict-devil &&" in told.value.fix
    with pytest.raises(InputError, match=re.escape(", ".join(corpus.PACKAGES))):
        corpus.texts(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "data", [b"no gzip", gzip.compress(LONG.encode())[:-20], b"\x1f\x8b\x08\0" + b"\0" * 6 + b"\xff" * 90]
)
def test_a_damaged_dictionary_is_named(unpacked: Path, data: bytes) -> None:
    (unpacked / "usr/share/dictd/jargon.dict.dz").write_bytes(data)
    with pytest.raises(InputError, match=r"jargon\.dict\.dz is damaged: .*unpack dict-jargon again"):
        corpus.texts(unpacked)


def test_few_bytes_are_tried_at_each_place_between_r_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    class Counted:
        def __init__(self) -> None:
            self._stream = zlib_object()

        def decompress(self, data: bytes) -> bytes:
            given.append(len(data))
            return self._stream.decompress(data)

        @property
        def unused_data(self) -> bytes:
            return self._stream.unused_data

    zlib_object = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Counted)
    noise = random.Random(0).randbytes(100_000)
    assert list(corpus.r_strings(packed("one", "two") + noise + packed("three"))) == ["one\ntwo", "three"]
    assert sum(given) < 200 * len(noise)


def test_html_becomes_text_without_comments_or_words_run_together() -> None:
    page = "<style>x</style><!-- a > b --><p>A &amp; B</p>\n\n<div>C</div><div>D</div>one<br>two"
    assert corpus.from_html(page) == "A & B\n\nC\nD\none\ntwo"


def test_pages_are_varied_in_their_typography_alone() -> None:
    page = 'Elinor said: "It was\nhers." ' * 3
    varied = {corpus.vary(page, random.Random(seed)) for seed in range(40)}
    assert page in varied and len(varied) > 5
    for text in varied:
        assert re.sub(r"[\n \u201c\u201d\"]|\w", "", text) == re.sub(r'[\n "]|\w', "", page)
        assert len(text) == len(page) and "Elinor said" in text
