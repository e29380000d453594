"""Folders: which files are read, in which order, and what is said of the others."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from farspan.errors import InputError
from farspan.text import open_documents
from farspan.text.ignore import parse


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")


def names_in(folder: Path, notices: list[str] | None = None) -> list[str]:
    told = [] if notices is None else notices
    return [os.path.relpath(document.name, folder) for document in open_documents([folder], notice=told.append)]


def test_a_folder_is_read_in_order(tmp_path: Path) -> None:
    fill(tmp_path, "b.txt", "a/z.md", "a/b/c.py", "c.txt", ".hidden", ".git/config", ".venv/x.py")
    assert names_in(tmp_path) == ["a/b/c.py", "a/z.md", "b.txt", "c.txt"]


def test_names_are_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "docs/a.txt", "b.txt")
    monkeypatch.chdir(tmp_path)
    assert [document.name for document in open_documents(["docs", "b.txt"])] == ["docs/a.txt", "b.txt"]
    assert [document.name for document in open_documents("b.txt")] == ["b.txt"]


def test_what_cannot_be_read_in_a_folder_is_skipped_and_told(tmp_path: Path) -> None:
    fill(tmp_path, "good.txt", "blank.txt", "bad.pdf")
    (tmp_path / "blank.txt").write_text("  \n")
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.4 broken")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    notices: list[str] = []
    texts = {os.path.basename(d.name): "".join(d.pieces()) for d in open_documents([tmp_path], notice=notices.append)}
    assert texts == {"bad.pdf": "", "blank.txt": "  \n", "good.txt": "text of good.txt"}
    assert [notice.split(str(tmp_path))[1].split()[0] for notice in notices] == [
        "/bad.pdf", "/blank.txt", "/empty.txt", "/picture.png",
    ]  # fmt: skip
    with pytest.raises(InputError, match="binary"):
        list(open_documents([tmp_path / "picture.png"]))


def test_links_that_lead_nowhere_are_skipped_and_told(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt", "z.txt", "sub/b.txt")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "sub" / "gone").symlink_to("missing.txt")
    (tmp_path / "sub" / ".gitignore").symlink_to(".gitignore")
    (tmp_path / "to_a").symlink_to("a.txt")
    notices: list[str] = []
    assert names_in(tmp_path, notices) == ["a.txt", "sub/b.txt", "to_a", "z.txt"]
    assert notices[0].startswith(f"skipped: {tmp_path / 'loop'} cannot be read: too many levels")
    assert notices[1:] == [f"skipped: {tmp_path / 'sub' / 'gone'} is a link to missing.txt, which does not exist"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may follow every link")
def test_a_link_that_may_not_be_followed_is_skipped_and_told(tmp_path: Path) -> None:
    fill(tmp_path, "closed/x.txt", "read/a.txt")
    (tmp_path / "read" / "secret").symlink_to(tmp_path / "closed" / "x.txt")
    (tmp_path / "closed").chmod(0)
    notices: list[str] = []
    try:
        assert names_in(tmp_path / "read", notices) == ["a.txt"]
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert notices == [f"skipped: {tmp_path / 'read' / 'secret'} cannot be read: permission denied"]


def test_a_folder_with_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(InputError, match=r"nothing to read in it \(1 files looked at\)"):
        list(open_documents([tmp_path], notice=lambda _: None))


def test_documents_are_opened_lazily(tmp_path: Path) -> None:
    fill(tmp_path, "a.txt")
    documents = open_documents([tmp_path / "a.txt", tmp_path / "missing.txt"])
    assert next(documents).name.endswith("a.txt")
    with pytest.raises(InputError, match="does not exist"):
        next(documents)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    (document,) = open_documents(["-"])
    assert (document.name, "".join(document.pieces())) == ("<stdin>", "piped")


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path, "a/x.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert names_in(tmp_path) == ["a/x.txt"]


GITIGNORES = {
    ".gitignore": "*.log\n!keep.log\n/build/\nnode_modules/\n# note\n\\#odd\ndocs/*.tmp\n**/cache\na/**/z\n[ab]?.dat\n",
    "sub/.gitignore": "!back.log\n*.txt\n!/only.txt\nspaced\\ \ntrailing   \ndeep/**\n",
    "sub/deeper/.gitignore": "!*.txt\n[!x].md\n",
}
TREE = (
    "x.log keep.log build/a.txt sub/build/a.txt node_modules/m.js sub/node_modules/m.js #odd docs/a.tmp docs/b/a.tmp"
    " cache/c sub/cache a/z a/b/z a/b/c/z b/z a1.dat ab.dat c1.dat sub/back.log sub/x.log sub/a.txt sub/only.txt"
    " sub/more/only.txt sub/trailing sub/deep/q/r sub/deeper/n.txt sub/deeper/x.md sub/deeper/y.md sub/deeper/xy.md"
    " plain.txt src/main.py src/back.log"
).split()


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git")
def test_gitignore_as_git_does(tmp_path: Path) -> None:
    fill(tmp_path, *TREE, "sub/spaced ")
    for name, rules in GITIGNORES.items():
        (tmp_path / name).write_text(rules)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    listed = subprocess.run(
        ["git", "-c", "core.excludesFile=", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = {name for name in listed.stdout.split("\0") if name and ".gitignore" not in name}
    assert set(names_in(tmp_path)) == expected
    in_sub = {name.removeprefix("sub/") for name in expected if name.startswith("sub/")}
    assert set(names_in(tmp_path / "sub")) == in_sub


@pytest.mark.parametrize("line", ["", "  ", "# note", "!", "\n"])
def test_lines_that_are_no_rules(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize("line", ["[", "[]", "[z-a]", "a[", "\\", "[[:nope:]]", "***", "[^]", "a/**/b/**/c", "[!]"])
def test_odd_patterns_do_no_harm(line: str) -> None:
    parse(line)
