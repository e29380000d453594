"""Answers that are several items in one reply, in any order or in a given one."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score, last_place
from farspan.evals.scorers.kit.figures import number
from farspan.evals.scorers.kit.share import bag_f1
from farspan.evals.scorers.kit.text import brief, plain, straight, unled, unlisted
from farspan.tasks import Turn

_GROUP = re.compile(r"\[([^\[\]]*+)\]")
_RUN = re.compile(r"\[[^\[\],]*+\](?:\s{0,3}(?:,|;|and|&)?\s{0,3}\[[^\[\],]*+\])+|\[[^\[\]]*+\]")
_WHOLE = re.compile(r"(?<![\w.])-?\d+(?:\.0+)?(?!\.?\d)(?=(?:st|nd|rd|th)?(?!\w))")
_AROUND = "()[]{}<>\"'`* "
_NOTHING = frozenset({"", "none", "nothing", "empty", "n/a", "no items"})


def set_f1(text: str, turn: Turn) -> Score:
    """F1 of the items of the reply against the gold ones, in any order (LongIns; Gavin et al. 2024).

    options: `pattern`, a regular expression whose matches (its first group, where it has one) are the items; without
    one, what stands in the last list in brackets, or else all of the reply, is parted at commas, semicolons and line
    ends. `whole_numbers`, then the items are the whole numbers there. Looking for gold items as substrings would find
    1 in 12 and pay for a list of everything.
    """
    given, wanted = _items(text, turn), _wanted(turn)
    return Score(bag_f1(set(given), set(wanted)), parsed=brief(given))


def items(text: str, turn: Turn) -> Score:
    """The share of gold items that stand at their place in the reply (Needle Threading; Roberts et al. 2024).

    options: `pattern` and `whole_numbers` as for `set_f1`; `names`, all items there are, which are then read in the
    order in which each stands last; `all`, then only the whole list, equal, earns 1. More than twice as many items as
    wanted earn 0. Upstream reads the reply as a Python literal, fails on anything else, and compares only the
    first items.
    """
    given, wanted = _items(text, turn), _wanted(turn)
    right = sum(one == other for one, other in zip(given, wanted, strict=False))
    if turn.options.get("all") or not wanted:
        return Score(float(given == wanted), parsed=brief(given))
    value = 0.0 if len(given) > 2 * len(wanted) else right / len(wanted)
    return Score(value, parsed=brief(given))


def _wanted(turn: Turn) -> list[str]:
    return [item for item in map(_alike, turn.gold) if item not in _NOTHING]


def _items(text: str, turn: Turn) -> list[str]:
    pattern, names = turn.options.get("pattern"), turn.options.get("names")
    if names:
        found = _named(straight(text).casefold(), [straight(str(name)).casefold() for name in names])
    elif turn.options.get("whole_numbers"):
        found = _whole_numbers(straight(text))
    elif pattern:
        found = [match[1 if match.re.groups else 0] or "" for match in re.finditer(pattern, text)]
    else:
        found = _parted(straight(text), any(" and " in gold for gold in turn.gold))
    return [item for item in map(_alike, found) if item not in _NOTHING]


def _named(said: str, names: list[str]) -> list[str]:
    """The names that stand in a text, in the order of where each stands last."""
    places = {name: last_place(name, said, len(said)) for name in names}
    return sorted((name for name in places if places[name] >= 0), key=places.__getitem__)


def _whole_numbers(text: str) -> list[str]:
    """Those in the last list in brackets (the last with a comma, where one has any), or else in all of the text.

    A line's own number counts only where it is the only one of the line.
    """
    runs = [run for run in _RUN.findall(text) if re.search(r"\d", run) or not run.strip("[] \n")]
    if runs:
        return _WHOLE.findall(next((run for run in reversed(runs) if "," in run), runs[-1]))
    rows = [bare if _WHOLE.search(bare := unlisted(line)) else line for line in text.replace("**", "").splitlines()]
    return [found for row in _after_lead(rows) for found in _WHOLE.findall(row)]


def _parted(text: str, whole: bool) -> list[str]:
    """The pieces between commas, semicolons, line ends and (unless items hold it themselves) a last `and`."""
    groups = _GROUP.findall(text)
    if len(groups) == 1 or any("," in group for group in groups):
        text = next(group for group in reversed(groups) if len(groups) == 1 or "," in group)
    rows = [unlisted(line) for line in text.splitlines() if not line.lstrip().startswith("```")]
    pieces = [piece for row in _after_lead(rows) for piece in re.split(r"[,;]", row)]
    if whole:
        return pieces
    return [part for piece in pieces for part in re.split(r"(?:^|\s)(?:and|&)\s", piece)]


def _after_lead(rows: list[str]) -> list[str]:
    """Without what the first line says before its colon: `The items are: a, b`."""
    if not rows:
        return rows
    before, colon, after = unled(rows[0]).partition(": ")
    if colon:
        return [after, *rows[1:]]
    return rows[1:] if before.endswith(":") else [before, *rows[1:]]


def _alike(item: str) -> str:
    """An item for comparing: numbers by their value, other text by its plain form, both without brackets around."""
    bare = unlisted(item).strip(_AROUND)
    value = number(bare)
    if value is None:
        return plain(bare).strip(_AROUND)
    written = format(value, "f")
    return (written.rstrip("0").rstrip(".") if "." in written else written) if value else "0"
