"""What selections share."""

from __future__ import annotations

from farspan.methods.parts.select.ranking import works


def test_when_a_selector_works() -> None:
    assert [works(when, answering) for when in ("reading", "answering", "both") for answering in (False, True)] == [
        True, False, False, True, True, True,
    ]  # fmt: skip
