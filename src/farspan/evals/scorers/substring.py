"""Answers that are found in the reply as whole words."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score, occurs, place
from farspan.evals.scorers.kit.text import brief, plain, unfenced, unled
from farspan.tasks import Turn

_FEWEST = 3
_BEFORE_OPENING = re.compile(r"[\s\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb\u2026]*(?:\.{2,}[\s\"'`\u201c\u201d]*)?")


def any_substring(text: str, turn: Turn) -> Score:
    """1 when any gold answer stands in the reply as whole words, whatever its case (RULER's QA rule).

    The port of it in lm-evaluation-harness takes the share of gold answers instead, and both find `art` in `party`.
    """
    found = next((gold for gold in turn.gold if occurs(gold, text)), None)
    return Score(float(found is not None), parsed=found)


def all_substring(text: str, turn: Turn) -> Score:
    """The share of gold answers that stand in the reply as whole words (RULER's rule for several needles)."""
    found = [gold for gold in turn.gold if occurs(gold, text)]
    return Score(len(found) / max(1, len(turn.gold)), parsed=brief(found))


def kv_substring(text: str, turn: Turn) -> Score:
    """1 when the gold value stands in the reply, case and all, and no decoy stands before it (SCBench, Retr.KV).

    options: `any_case`, then case does not matter. A reply that names all of three decoys or more is not right either.
    Any occurrence would do upstream, so that a reply may list values until the right one turns up.
    """
    alike = str.casefold if turn.options.get("any_case") else str
    said = alike(text)
    at = place(alike(turn.gold[0]), said) if turn.gold else -1
    others = [place(alike(decoy), said) for decoy in turn.decoys if decoy not in turn.gold]
    before = any(0 <= other < at for other in others)
    everything = len(others) >= _FEWEST and min(others) >= 0
    return Score(float(at >= 0 and not before and not everything), parsed=turn.gold[0] if at >= 0 else None)


def opening(text: str, turn: Turn) -> Score:
    """1 when the reply begins with the first words of the gold answer (`words` of them), white space apart.

    Quotation marks and an ellipsis before the first word are left aside, for a quote is often continued in quotes.
    """
    wanted = _begun(turn.gold[0]).split()[: int(turn.options.get("words", 6))] if turn.gold else []
    given = _begun(text).split(maxsplit=len(wanted))[: len(wanted)]
    return Score(float(bool(wanted) and given == wanted), parsed=" ".join(given))


def exact(text: str, turn: Turn) -> Score:
    """1 when the reply's first line is a gold answer; case, emphasis, white space, quotes and end marks apart.

    options: `compact`, then `[1, 2]` and `[1,2]` are the same as well (MIR-Bench's rule; Yan et al. 2025); `lead`, a
    word such as `label`: "The label is" and "Label:" are left aside, as "Answer:" always is. A line that only opens a
    code fence, or holds nothing but a lead, is not the first.
    """
    lead, compact = str(turn.options.get("lead", "answer")), bool(turn.options.get("compact"))
    read = ((line, unled(unled(line), lead)) for line in unfenced(text))
    line, bare = next(((line, bare) for line, bare in read if plain(bare)), ("", ""))
    given = {_form(line, compact), _form(bare, compact)} - {""}
    return Score(float(bool(given & {_form(gold, compact) for gold in turn.gold})), parsed=plain(bare)[:200])


def _begun(text: str) -> str:
    found = _BEFORE_OPENING.match(text)
    return text[found.end() :] if found else text


def _form(text: str, compact: bool) -> str:
    return "".join(plain(text).split()) if compact else plain(text)
