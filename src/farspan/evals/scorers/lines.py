"""Answers that are lines in an order, or numbered answers to many questions at once."""

from __future__ import annotations

import re
from itertools import takewhile

from farspan.evals.scorers.base import Score, occurs, rivals
from farspan.evals.scorers.kit.figures import numbers, same
from farspan.evals.scorers.kit.text import lines, plain, straight, tagged, unlisted
from farspan.tasks import Turn

_DROPPED = re.compile(r"[^\w\s+*/=<>^%~&|.-]|\.(?!\d)|(?<=[^\W\d])-(?=[^\W\d])|--+|\*\*+")
_SIGN = re.compile(r" ?([+*/=<>^%~&|-]) ?")


def ordered_lines(text: str, turn: Turn) -> Score:
    """How far the reply's lines go right from the first on, out of the longer of both lists (LongProc; Ye et al. 2025).

    options: `tag`, only what stands between <tag> and </tag> is read; `final`, the words before the last line ("Final
    Answer"): lines after it are left aside, and where the gold is one line, lines before it as well; `counted`, the
    word that lines begin with, and a number after it ("Step"): others but the final one are left aside, and so is what
    stands before the last line with the first number; `all`, then only the whole list, equal, earns 1. Case,
    punctuation and white space count for nothing. Upstream divides by the gold lines alone, so that a reply that goes
    on and on is right.
    """
    given, wanted = _read(text, turn), [_line(gold, turn) for gold in turn.gold]
    right = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(given, wanted, strict=False)))
    value = right / max(len(given), len(wanted), 1)
    if turn.options.get("all"):
        value = float(bool(wanted) and given == wanted)
    return Score(value, null=not given, parsed={"right": right, "lines": len(given)})


def numbered(text: str, turn: Turn) -> Score:
    """The share of numbered answers that are right: `Answer 3: 42` (LongGenBench; Liu et al. 2024).

    options: `text`, then the gold must stand in an answer as whole words, and no decoy, else its last number counts;
    `label`, the word before the number, `Answer` without one; `all`, then 1 only for all of them (LongBioBench). The
    first answer of a number counts. A reply without any number is read line by line when it has as many lines as there
    are answers. Counting the answers in their order instead would let one that is left out shift all the others.
    """
    blocks = _blocks(straight(text), str(turn.options.get("label", "Answer")), len(turn.gold))
    others = rivals(turn) if turn.options.get("text") else None
    right = [i for i, gold in enumerate(turn.gold) if i in blocks and _agrees(blocks[i], gold, others)]
    value = len(right) / max(1, len(turn.gold))
    if turn.options.get("all"):
        value = float(value == 1)
    return Score(value, null=not blocks, parsed=[[i + 1, blocks[i].strip()[:40]] for i in sorted(blocks)[:50]])


def _read(text: str, turn: Turn) -> list[str]:
    tag, final = turn.options.get("tag"), str(turn.options.get("final", ""))
    within = tagged(text, str(tag)) if tag else None
    rows = lines(text if within is None else within)
    if within is None and len(rows) > 1 and rows[0].endswith(":") and _line(rows[0], turn) != _first(turn):
        rows = rows[1:]
    if word := str(turn.options.get("counted", "")):
        rows = _counted(rows, word, turn)
    if final:
        start = plain(final)
        end = next((i for i, row in enumerate(rows) if plain(row).startswith(start)), None)
        if end is not None:
            rows = rows[end if len(turn.gold) == 1 else 0 : end + 1]
    return [row for row in (_line(row, turn) for row in rows) if row]


def _counted(rows: list[str], word: str, turn: Turn) -> list[str]:
    """The lines that begin with this word and a number, from the last one with the first number on, and final ones."""
    mark = re.compile(rf"{re.escape(word.casefold())} ?(\d+)\b")
    found = [(mark.match(_flat(row)), row) for row in rows]
    final = plain(str(turn.options.get("final", "")))
    kept = [(at, row) for at, row in found if at or (final and plain(row).startswith(final))]
    first = mark.match(_first(turn))
    start = max((i for i, (at, _) in enumerate(kept) if at and first and int(at[1]) == int(first[1])), default=0)
    return [row for _, row in kept[start:]]


def _first(turn: Turn) -> str:
    return _line(turn.gold[0], turn) if turn.gold else ""


def _line(row: str, turn: Turn) -> str:
    """A line for comparing: words and signs of sums alone, without the words that mark the final one."""
    flat, final = _flat(unlisted(row)), _flat(str(turn.options.get("final", "")))
    return flat.removeprefix(final).strip()


def _flat(row: str) -> str:
    return _SIGN.sub(r"\1", " ".join(_DROPPED.sub(" ", straight(row)).casefold().split()))


def _blocks(text: str, label: str, amount: int) -> dict[int, str]:
    """Each answer's text, by its place from 0 on."""
    named = rf"(?<!\w){re.escape(label)}[ _#]{{0,3}}(\d{{1,6}})[*_ ]{{0,3}}[:.)=][*_]{{0,3}}"
    bare = r"^[ \t]{0,8}[*_#(\[]{0,3}[ ]?(\d{1,6})[*_]{0,2}[:.)\]](?!\d)[*_]{0,3}"
    marks = list(re.finditer(named, text, re.IGNORECASE)) or list(re.finditer(bare, text, re.MULTILINE))
    blocks: dict[int, str] = {}
    for i, mark in enumerate(marks):
        end = marks[i + 1].start() if i + 1 < len(marks) else len(text)
        blocks.setdefault(int(mark[1]) - 1, text[mark.end() : end])
    rows = [] if marks else lines(text)
    if rows and len(rows) == amount:
        return dict(enumerate(rows))
    return {place: block for place, block in blocks.items() if 0 <= place < amount}


def _agrees(block: str, gold: str, others: list[str] | None) -> bool:
    """Whether the block says the gold answer, as a text beside none of the others, or else as its last number."""
    if others is not None:
        flat = " ".join(block.replace("**", "").split())
        return occurs(gold, flat) and not any(occurs(other, flat) for other in others)
    given, wanted = numbers(block)[-1:], numbers(gold)[-1:]
    return bool(given and wanted) and same(given[0], wanted[0])
