"""A session quotes the documents that it has read, by the places that sources name."""

from __future__ import annotations

import pytest

from farspan.errors import InputError
from farspan.text import Document
from tests.tiny import model

TEXT = "caf\u00e9 \u6f22\u5b57, and the end"


def test_a_document_is_quoted_by_its_own_characters() -> None:
    with model().session() as session:
        session.read(Document.from_text("before", "first"))
        session.read(Document.from_text(TEXT, "second"))
        assert session.quote("second") == TEXT
        assert session.quote("second", 5, 7) == "\u6f22\u5b57"
        assert session.quote("second", len(TEXT) - 3, len(TEXT) + 9) == "end"
        assert session.quote("second", len(TEXT)) == session.quote("second", 7, 5) == ""
        with session.fork() as fork:
            assert fork.quote("first") == "before"
        with pytest.raises(InputError, match="has not read 'third'"):
            session.quote("third")


def test_the_rest_of_a_longer_text_counts_what_came_before() -> None:
    with model().session() as session:
        session.read(Document.from_text(TEXT[:9], "parts"))
        session.read(Document.from_text(TEXT[9:], "parts", rest=(9, 0)))
        assert session.quote("parts", 5, 9) == TEXT[5:9]
        assert session.quote("parts", 11, 14) == TEXT[11:14]
