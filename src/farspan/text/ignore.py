"""The rules of .gitignore files, as git applies them (gitignore(5))."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Rule(NamedTuple):
    """One line of a .gitignore: what it matches, below its folder, and whether it brings a file back ("!")."""

    pattern: re.Pattern[str]
    negated: bool
    folders_only: bool


class IgnoreFile(NamedTuple):
    """The rules of one .gitignore, which hold below `folder`."""

    folder: Path
    rules: list[Rule]


def load(folder: Path) -> list[IgnoreFile]:
    """The .gitignore of a folder, as a list of one, or of none when there is none that can be read."""
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rules = [rule for line in lines if (rule := parse(line)) is not None]
    return [IgnoreFile(folder, rules)]


def load_above(folder: Path) -> list[IgnoreFile]:
    """The .gitignore files from the root of the repository that `folder` lies in down to its parent."""
    folder = folder.resolve()
    above = [folder, *folder.parents]
    root = next((index for index, parent in enumerate(above) if (parent / ".git").exists()), 0)
    return [file for parent in reversed(above[1 : root + 1]) for file in load(parent)]


def is_ignored(files: Sequence[IgnoreFile], path: Path, *, is_folder: bool) -> bool:
    """Whether a path (resolved like the files' folders) is ignored: the last rule that matches it decides.

    A path in an ignored folder is not asked about: as in git, nothing can bring it back.
    """
    for file in reversed(files):
        relative = path.relative_to(file.folder).as_posix()
        for rule in reversed(file.rules):
            if (is_folder or not rule.folders_only) and rule.pattern.fullmatch(relative):
                return not rule.negated
    return False


def parse(line: str) -> Rule | None:
    """A line of a .gitignore; None for a blank line, a comment, or a pattern that is not well formed."""
    line = re.sub(r"(?<!\\) +$", "", line.rstrip("\r\n"))
    negated = line.startswith("!")
    line = line[negated:]
    if not line or (line.startswith("#") and not negated):
        return None
    folders_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    try:
        pattern = re.compile(("" if anchored else "(?:.*/)?") + _regex(line.removeprefix("/")), re.DOTALL)
    except re.error:
        return None
    return Rule(pattern, negated, folders_only)


_TOKEN = re.compile(
    r"^\*\*/|/\*\*$|/\*\*/|\*+|\?|\\.|\[[!^]?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|.", re.DOTALL
)  # fmt: skip
_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
}


def _regex(glob: str) -> str:
    return "".join(_piece(match[0]) for match in _TOKEN.finditer(glob))


def _piece(token: str) -> str:
    special = {"**/": "(?:.*/)?", "/**": "/.+", "/**/": "/(?:.*/)?", "?": "[^/]"}
    if token in special:
        return special[token]
    if token.startswith("*"):
        return "[^/]*"
    if token.startswith("[") and len(token) > 2:
        return _character_class(token[1:-1])
    return re.escape(token[1:] if token.startswith("\\") and len(token) > 1 else token)


def _character_class(inside: str) -> str:
    negated = inside[0] in "!^"
    inside = re.sub(r"\[:(\w+):\]", lambda match: _CLASSES.get(match[1], ""), inside[negated:])
    inside = re.sub(r"\\(.)", lambda match: re.escape(match[1]), inside).replace("[", r"\[")
    inside = r"\]" + inside[1:] if inside.startswith("]") else inside
    return f"(?!/)[{'^' if negated else ''}{inside}]"
