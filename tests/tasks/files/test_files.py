"""Rows come the same from every format, one at a time, and what is amiss is one clear error."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farspan.errors import InputError, UsageError
from farspan.tasks.files import formats
from farspan.tasks.files.questions import letter_of, passages, spread
from farspan.tasks.files.rows import Row, field, parts, rows, text, texts
from farspan.tasks.kit.sample import Segment, Span

HELD: list[dict[str, Any]] = [
    {"name": "Ann \u2013 \u00e9", "size": 3, "tags": ["a", "b"]},
    {"name": "Bob", "size": 4, "tags": []},
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 10**6) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def parquet(path: Path, held: list[dict[str, Any]]) -> None:
    arrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    writer.write_table(arrow.Table.from_pylist(held), path)


def test_all_formats_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in HELD), encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps(HELD, ensure_ascii=False, indent=1), encoding="utf-8")
    (tmp_path / "c.json").write_text("\n".join(json.dumps(row) for row in HELD), encoding="utf-8")
    (tmp_path / "d.json").write_text(json.dumps({"version": 1, "data": HELD}), encoding="utf-8")
    (tmp_path / "e.json").write_text(json.dumps({"x": HELD[0], "y": HELD[1]}), encoding="utf-8")
    columns = {name: [row[name] for row in HELD] for name in HELD[0]}
    (tmp_path / "f.json").write_text(json.dumps(columns), encoding="utf-8")
    numbered = {name: {str(i): cell for i, cell in enumerate(cells)} for name, cells in columns.items()}
    (tmp_path / "g.json").write_text(json.dumps(numbered), encoding="utf-8")
    parquet(tmp_path / "h.parquet", HELD)
    for file in sorted(tmp_path.iterdir()):
        found = list(rows(str(file)))
        assert found == HELD, file
        assert found[1].where == f"{file}, row 2" and found[1].names == (file.stem, tmp_path.name)


def test_a_table_with_long_cells(tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["name", "text"], ["Ann", "x, \n" * 100_000]])
    (row,) = rows(str(tmp_path / "a.csv"))
    assert row == {"name": "Ann", "text": "x, \n" * 100_000}
    (tmp_path / "a.csv").write_text("name\nAnn,Bob\n", encoding="utf-8")
    with pytest.raises(InputError, match="more cells than names"):
        list(rows(str(tmp_path / "a.csv")))


@settings(max_examples=40, deadline=None)
@given(held=st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=6), chunk=st.integers(1, 40))
def test_lists_are_read_piece_by_piece(held: list[dict[str, Any]], chunk: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "list.json"
    path.write_text(" " + json.dumps(held, ensure_ascii=False, indent=chunk % 3) + "\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_START", chunk)
        patch.setattr(formats, "_CHUNK", chunk)
        assert list(formats.json_file(path)) == held


def test_nothing_is_read_ahead(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in HELD]
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, "{cut"]), encoding="utf-8")
    (tmp_path / "b.json").write_text("[" + ", ".join([*lines, '{"cut": 1']), encoding="utf-8")
    for name in ("a.jsonl", "b.json"):
        assert list(islice(rows(str(tmp_path / name)), 2)) == HELD
        with pytest.raises(InputError, match=f"{name}: (line 3|it) is no JSON"):
            list(rows(str(tmp_path / name)))


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
@pytest.mark.parametrize(
    "held", [b"", b"\x00\xff\xfe\x80" * 50, b'[{"a": 1}, {"a"', b'{"a": [1, 2', b"[1, 2]", b"7", b"[" * 99_999]
)
def test_broken_files_are_one_clear_error(tmp_path: Path, suffix: str, held: bytes) -> None:
    if suffix == ".csv" and held[:1] not in (b"", b"\x00"):
        pytest.skip("is a table of one column")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(held)
    with pytest.raises(InputError, match="a" + suffix) as caught:
        list(rows(str(path)))
    assert caught.value.fix


def test_a_folder_is_read_in_order_and_by_name(tmp_path: Path) -> None:
    for name in ("b/test-00000-of-00001.jsonl", "a.jsonl", "b/train.jsonl", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"file": name}) + "\n", encoding="utf-8")
    assert [row["file"] for row in rows(str(tmp_path))] == ["a.jsonl", "b/test-00000-of-00001.jsonl", "b/train.jsonl"]
    assert [row["file"] for row in rows(str(tmp_path), "a")] == ["a.jsonl"]
    assert [row["file"] for row in rows(str(tmp_path), "b", "test")] == ["b/test-00000-of-00001.jsonl"]
    assert next(rows(str(tmp_path), "b")).named(["x", "b"]) == "b"
    for path, message in [(str(tmp_path / "no"), "no file or folder"), (str(tmp_path / "note.txt"), "no kind")]:
        with pytest.raises(InputError, match=message):
            list(rows(path))
    with pytest.raises(InputError, match="no files that are called c"):
        list(rows(str(tmp_path), "c"))


def test_fields_say_where_they_are_missing() -> None:
    row = Row({"a": 1, "b": None, "c": [{"d": "x"}], "e": []}, "f.json, row 7")
    assert field(row, "a") == 1 and text(row, "a") == "1" and texts(row, "a") == ("1",)
    for name in ("b", "z"):
        with pytest.raises(InputError, match=rf"f\.json, row 7: there is no field '{name}'; .*a, b, c"):
            field(row, name)
    with pytest.raises(InputError, match="elsewhere: there is no field 'z'"):
        field({"a": 1}, "z", "elsewhere")
    (inner,) = parts(row, "c")
    assert inner == {"d": "x"} and inner.where == "f.json, row 7, c 1"
    for read, name in [(text, "c"), (texts, "e"), (texts, "c"), (parts, "a"), (parts, "e")]:
        with pytest.raises(InputError, match=rf"row 7: field '{name}'"):
            read(row, name)


class Fake:
    """Stands in for the `datasets` package."""

    def __init__(self, held: Any, version: str = "4.1.0") -> None:
        self.held, self.__version__, self.calls = held, version, []

    def load_dataset(self, *args: Any, **named: Any) -> Any:
        self.calls.append((args, named))
        if isinstance(self.held, Exception):
            raise self.held
        return self.held[named["split"]] if named["split"] else self.held


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def put(module: Any) -> Any:
        monkeypatch.setitem(sys.modules, "datasets", module)
        return module

    yield put


def test_the_hub_is_read_by_the_datasets_package(hub: Any) -> None:
    fake = hub(Fake({"train": [{"a": 1}], "test": HELD}))
    found = list(rows("hub:someone/some.set", "part"))
    assert found == HELD and found[1].where == "hub:someone/some.set (test), row 2"
    assert found[0].names == ("part", "test")
    assert fake.calls == [(("someone/some.set", "part"), {"split": None})]
    assert list(rows("hub:someone/some.set", None, "train")) == [{"a": 1}]
    hub(Fake({"one": HELD[:1], "two": HELD[1:]}))
    assert [row.names for row in rows("hub:a/b")] == [("one",), ("two",)]


def test_the_hub_refuses_clearly(hub: Any) -> None:
    hub(None)
    with pytest.raises(UsageError, match="pip install datasets"):
        list(rows("hub:a/b"))
    hub(Fake({}, "3.6.0"))
    with pytest.raises(UsageError, match="may run the code"):
        list(rows("hub:a/b"))
    hub(Fake(RuntimeError("scripts are no longer supported\nmore")))
    with pytest.raises(InputError, match=r"hub:a/b cannot be loaded: scripts are no longer supported;"):
        list(rows("hub:a/b"))
    hub(Fake({"test": []}))
    with pytest.raises(InputError, match="has no rows"):
        list(rows("hub:a/b"))
    hub(SimpleNamespace(__version__="5.0"))
    with pytest.raises(InputError, match="hub:a"):
        list(rows("hub:a"))


def test_quotes_letters_and_choices() -> None:
    segments = (Segment("One boat. Two boats. "), Segment("Three boats."))
    assert passages(segments, ["Three boats.", " boat", "", "none"]) == (Span(0, 4, 8), Span(1, 0, 12))
    assert [letter_of(answer, ["x ", "B", "y"]) for answer in ("x", "B", "(c)", "d", "z")] == ["A", "B", "C", "", ""]
    assert spread(list(range(10)), 4) == [0, 2, 5, 7] and spread([1, 2], 0) == spread([1, 2], 9) == [1, 2]
