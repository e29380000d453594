"""The token log gives back ids and spans, and comes back cut to what was committed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farspan.errors import SessionError
from farspan.text import NO_TEXT, TokenLog


def test_tokens_with_and_without_text(tmp_path: Path) -> None:
    log = TokenLog(tmp_path)
    log.append([1, 2])
    log.append(np.array([3, 2**31 - 1]), [0, 2**40], [2, 2**40 + 5])
    assert len(log) == 4
    assert log.ids().tolist() == [1, 2, 3, 2**31 - 1]
    assert log.ids(1, 3).tolist() == [2, 3]
    assert log.ids(3, 99).tolist() == [2**31 - 1]
    assert log.ids().dtype == np.int32
    spans = log.spans(1)
    assert spans.starts.tolist() == [NO_TEXT, 0, 2**40]
    assert spans.ends.tolist() == [NO_TEXT, 2, 2**40 + 5]


def test_truncate_and_open(tmp_path: Path) -> None:
    log = TokenLog(tmp_path)
    log.append(range(10))
    log.close()
    again = TokenLog(tmp_path, 6)
    assert again.ids().tolist() == list(range(6))
    again.truncate(2)
    again.append([9])
    assert again.ids().tolist() == [0, 1, 9]
    assert TokenLog(tmp_path, 6).ids().tolist() == [0, 1, 9, 3, 4, 5], "what was committed before stays on disk"
    with pytest.raises(SessionError, match="holds 120 of the 140 bytes"):
        TokenLog(tmp_path, 7)
    with pytest.raises(SessionError, match="holds 0 of the 20 bytes"):
        TokenLog(tmp_path / "missing", 1)


def test_a_copy_goes_its_own_way(tmp_path: Path) -> None:
    log = TokenLog(tmp_path / "a")
    log.append([1])
    copy = log.copy_to(tmp_path / "b")
    copy.append([2])
    log.append([3])
    assert (log.ids().tolist(), copy.ids().tolist()) == ([1, 3], [1, 2])
