"""Answers that are found in the reply as whole words."""

from __future__ import annotations

from farspan.evals.scorers.base import Score, occurs, place
from farspan.evals.scorers.kit.text import brief, plain, unled
from farspan.tasks import Turn


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

    Any occurrence would do upstream, so that a reply may list values until the right one turns up.
    """
    at = place(turn.gold[0], text) if turn.gold else -1
    others = (place(decoy, text) for decoy in turn.decoys if decoy not in turn.gold)
    before = at >= 0 and any(0 <= other < at for other in others)
    return Score(float(at >= 0 and not before), parsed=turn.gold[0] if at >= 0 else None)


def opening(text: str, turn: Turn) -> Score:
    """1 when the reply begins with the first words of the gold answer (`words` of them), white space apart."""
    wanted = turn.gold[0].split()[: int(turn.options.get("words", 6))] if turn.gold else []
    given = text.split(maxsplit=len(wanted))[: len(wanted)]
    return Score(float(bool(wanted) and given == wanted), parsed=" ".join(given))


def exact(text: str, turn: Turn) -> Score:
    """1 when the reply's first line is a gold answer; case, emphasis, white space, quotes and end marks apart.

    options: `compact`, then `[1, 2]` and `[1,2]` are the same as well (MIR-Bench's rule; Yan et al. 2025). A lead such
    as "Answer:" is left aside.
    """
    line = text.strip().partition("\n")[0]
    compact = bool(turn.options.get("compact"))
    given = {_form(line, compact), _form(unled(line), compact)} - {""}
    return Score(float(bool(given & {_form(gold, compact) for gold in turn.gold})), parsed=plain(line)[:200])


def _form(text: str, compact: bool) -> str:
    return "".join(plain(text).split()) if compact else plain(text)
