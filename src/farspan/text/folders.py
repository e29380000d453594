"""Paths that a user gave to documents: files, folders with all that can be read in them, standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from farspan.errors import InputError
from farspan.text import ignore
from farspan.text.document import Document, NoticeCallback, log_notice


def open_documents(
    paths: Sequence[Path | str] | Path | str, *, notice: NoticeCallback = log_notice
) -> Iterator[Document]:
    """The documents at `paths`, opened one at a time as they are asked for; "-" is standard input.

    A folder stands for the files in it and in its folders, sorted by name, without hidden ones and those that
    .gitignore files leave out. What cannot be read inside a folder is skipped, and `notice` is told; a file that is
    named itself is an InputError then, and so is a folder in which nothing can be read.
    """
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        if str(path) == "-":
            yield Document.from_stdin(sys.stdin, notice=notice)
        elif os.path.isdir(path):
            yield from _in_folder(str(path), notice)
        else:
            yield Document.from_path(path, notice=notice)


def documents(source: str | Path | Document) -> Iterable[Document]:
    """The documents that a source is: a `str` is the text itself, a `Path` a file or folder."""
    if isinstance(source, Path):
        return open_documents(source)
    return [Document.from_text(source) if isinstance(source, str) else source]


def unread(found: Iterable[Document], files: Iterable[Mapping[str, Any]]) -> Iterator[Document]:
    """Those documents that are not among a session's `files`, or were not read to their end; the same one only once."""
    done = {file["fingerprint"] for file in files if file["complete"]}
    for document in found:
        if document.fingerprint not in done:
            yield document
            done.add(document.fingerprint)


def _in_folder(folder: str, notice: NoticeCallback) -> Iterator[Document]:
    files = readable = 0
    for path in _walk(Path(folder), Path(folder).resolve(), ignore.load_above(Path(folder)), notice):
        files += 1
        try:
            document = Document.from_path(path, notice=notice)
        except InputError as error:
            notice(f"skipped: {error.message}")
            continue
        readable += 1
        yield document.forgiving(notice)
    if not readable:
        raise InputError(
            f"{folder} is a folder with nothing to read in it ({files} files looked at)",
            fix="name a folder with text in it; hidden files and those in .gitignore are left out",
        )


def _walk(shown: Path, real: Path, rules: list[ignore.IgnoreFile], notice: NoticeCallback) -> Iterator[Path]:
    """Files below a folder by the path to show, sorted; `real` is the same folder, resolved.

    A link that leads nowhere is among them: who opens it learns why.
    """
    try:
        entries = sorted(os.scandir(real), key=lambda entry: entry.name)
    except OSError as error:
        notice(f"skipped: {shown} cannot be listed: {error.strerror}")
        return
    rules = [*rules, *ignore.load(real)]
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(".") or ignore.is_ignored(rules, real / entry.name, is_folder=is_folder):
            continue
        if is_folder:
            yield from _walk(shown / entry.name, real / entry.name, rules, notice)
        elif os.path.isfile(entry.path) or not os.path.exists(entry.path):
            yield shown / entry.name
