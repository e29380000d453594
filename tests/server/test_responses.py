"""Stored responses: each holds what is new in it, and those that nobody goes on from are gone in the end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from farspan.server.asked import NotFound
from farspan.server.responses import DAYS, Responses

LONG = "It was late. " * 1_000


def put(responses: Responses, number: int, previous: int | None, text: str = LONG) -> str:
    """Store a response to one message."""
    response = {"id": name(number), "previous_response_id": None if previous is None else name(previous)}
    said = [{"role": "user", "content": f"{number} {text}"}, {"role": "assistant", "content": f"answer {number}"}]
    responses.put("me", response, said)
    return name(number)


def name(number: int) -> str:
    return f"resp_{number:032x}"


def age(responses: Responses, days: float) -> None:
    """Let all that is stored be older."""
    for path in responses.folder.glob("*/*"):
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))


def test_what_is_stored_grows_with_what_is_new(tmp_path: Path) -> None:
    responses = Responses(tmp_path)
    for number in range(20):
        put(responses, number, number - 1 if number else None)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) < 21 * len(LONG)
    found = [one["content"] for one in responses.messages("me", name(19))]
    assert found == [text for number in range(20) for text in (f"{number} {LONG}", f"answer {number}")]


def test_going_on_from_what_was_removed_is_one_clear_error(tmp_path: Path) -> None:
    responses = Responses(tmp_path)
    for number in range(3):
        put(responses, number, number - 1 if number else None)
    responses.delete("me", name(1))
    with pytest.raises(NotFound, match=f"{name(2)}.* goes on from .*{name(1)}.*no longer there; send the messages"):
        responses.messages("me", name(2))
    assert responses.get("me", name(2))["id"] == name(2)
    assert len(responses.messages("me", name(0))) == 2


def test_what_an_earlier_version_stored_is_read(tmp_path: Path) -> None:
    responses = Responses(tmp_path)
    put(responses, 0, None)
    whole: list[dict[str, Any]] = [{"role": "user", "content": "all"}, {"role": "assistant", "content": "of it"}]
    response = {"id": name(1), "previous_response_id": name(0)}
    (tmp_path / "me" / f"{name(1)}.json").write_text(json.dumps({"response": response, "messages": whole}))
    assert responses.messages("me", name(1)) == whole


def test_the_oldest_go_and_what_is_gone_on_from_stays(tmp_path: Path) -> None:
    responses = Responses(tmp_path)
    for number in range(3):
        put(responses, number, number - 1 if number else None)
    put(responses, 7, None)
    age(responses, DAYS - 1)
    assert len(responses.messages("me", name(1))) == 4
    responses.get("me", name(7))
    age(responses, 2)
    responses.sweep()
    assert sorted(path.stem for path in tmp_path.glob("*/*")) == [name(0), name(1)]
    assert len(responses.messages("me", name(1))) == 4
    age(responses, DAYS + 1)
    put(Responses(tmp_path), 8, None)
    assert [path.stem for path in tmp_path.glob("*/*")] == [name(8)]
    assert time.time() - (tmp_path / "me" / f"{name(8)}.json").stat().st_mtime < 60
