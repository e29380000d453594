"""Answers that are one of a few choices, or one name or number in a box."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score
from farspan.evals.scorers.kit.figures import number
from farspan.evals.scorers.kit.text import lines, plain, straight, unled
from farspan.tasks import Turn

_BOX = re.compile(r"\\boxed\s{0,3}\{")
_MACRO = re.compile(r"\\(?:text|math|mbox)[a-z]{0,8}|\\[,;:! ]|\\\\|[{}$~]")
_SAID = (
    r"\b(?i:answer|choose|select|pick|(?:correct|right|best)\s+(?:option|choice))\b(?i:\s+is)?(?i:\s+option)?"
    r"[\s:=*_\"'(\[]{0,6}"
)
_PROSE = re.compile(r" (?!(?:or|and|because|since|as|for|which|that|is)\b)[a-z]")
_ARTICLES = "AI"
_OPTION = re.compile(r"\b(?i:option|choice)(?: is)? {1,3}$")
_FARTHEST = 16
_NO_NOUN = re.compile(
    r" (?:from|in|on|of|to|at|by|with|without|within|via|over|among|throughout|based|according|due|thanks|here|instead|"
    r"but|not|though|although|while|when|where|if|so|however|therefore|thus|after|before|using|judging|considering|"
    r"given (?:the|that|this|these|what|how))(?![\w-])"
)
_ONE = r"is|was|has|does|being|seems|looks|says|contradicts|fails|lacks|cannot|\w{1,9}n't"
_RIGHT = (
    r"(?! (?:also |both |all |equally |just as )?"
    r"(?:right|correct|true|valid|best|good|likely|plausible|possible|the (?:right|correct|best|answer)))"
)
_CLAUSE = re.compile(rf" (?:{_ONE})\b{_RIGHT}")
_CLAUSE_OF_SEVERAL = re.compile(rf" (?:{_ONE}|are|were|have|do)\b{_RIGHT}")


def boxed_exact(text: str, turn: Turn) -> Score:
    """1 when the last \\boxed{} holds a gold answer (NeedleBench and its Ancestral Trace Challenge; Li et al. 2024).

    Without a box, the last line counts. \\text{}, quotes, full stops and case are left aside, and numbers are compared
    as numbers. A pattern that ends at the first brace would never find \\boxed{\\text{Anna}} right.
    """
    boxed = _boxed(text)
    given = boxed if boxed is not None else unled((lines(text) or [""])[-1])
    return Score(float(any(_agree(given, gold) for gold in turn.gold)), null=not given, parsed=given.strip()[:200])


def mcq_letter(text: str, turn: Turn) -> Score:
    """1 when the letter that the reply chooses is the gold one (LongBench v2; Bai et al. 2024).

    options: `letters`, all of them ("ABCD" without it). Read in this order: a box, "the answer is B" (the last one),
    a line that begins with a letter, the only letter in the reply. "A or B" chooses nothing, "B, D is wrong" B. The
    first capital letter alone would make a choice of the article in "A man came", which "the answer is A here" is not.
    """
    letters = "".join(dict.fromkeys(str(turn.options.get("letters", "ABCD")).upper()))
    chosen = _chosen(straight(text), letters) if letters else ""
    right = bool(chosen) and bool(turn.gold) and chosen == turn.gold[0].strip("() .").upper()
    return Score(float(right), null=not chosen, parsed=chosen)


def _agree(given: str, gold: str) -> bool:
    one, other = _bare(given), _bare(gold)
    if not one or not other:
        return False
    left, right = number(one), number(other)
    return one == other or (left is not None and left == right)


def _bare(text: str) -> str:
    return plain(_MACRO.sub(" ", text.replace("{,}", ",")))


def _boxed(text: str) -> str | None:
    """What stands in the last box, inner braces counted; to the end of the line where it is never closed."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return None
    inside, depth = text[boxes[-1].end() :], 1
    for found in re.finditer(r"[{}\n]", inside):
        depth += {"{": 1, "}": -1, "\n": 0}[found[0]]
        if depth == 0 or found[0] == "\n":
            return inside[: found.start()]
    return inside


def _chosen(text: str, letters: str) -> str:
    """The letter that is chosen; empty when none is, or several are."""
    boxed = _boxed(text)
    said = text if boxed is None else _MACRO.sub(" ", boxed)
    letter = f"([{re.escape(letters)}])(?![\\w'])"
    alone = re.fullmatch(rf"\W*{letter}\W*", said, re.IGNORECASE)
    if alone:
        return alone[1].upper()
    stated = [found for found in re.finditer(_SAID + letter, said) if not _is_prose(found)]
    begun = [found for found in re.finditer(rf"^\W{{0,6}}{letter}", said, re.MULTILINE) if not _is_prose(found)]
    for found in (*stated[-1:], *begun[:1]):
        return "" if _is_hedged(found, letter, _CLAUSE_OF_SEVERAL if stated else _CLAUSE) else found[1]
    others = [found for found in re.finditer(rf"(?<![\w']){letter}", said) if not _is_prose(found)]
    return others[0][1] if len({found[1] for found in others}) == 1 else ""


def _is_hedged(found: re.Match[str], letter: str, clause: re.Pattern[str]) -> bool:
    """Whether another letter is offered beside one: "A or B", but not "B, D is wrong", where it has a clause."""
    second = _next(r"(?:,\s{0,3})?or\b|/", letter, found) or _next(r"(?:,\s{0,3})?and\b|,", letter, found)
    if second is None or _is_prose(second):
        return False
    last = _next(r"(?:,\s{0,3})?and\b|,", letter, found, most=26)
    return last is None or clause.match(found.string, last.end()) is None


def _next(joint: str, letter: str, found: re.Match[str], most: int = 1) -> re.Match[str] | None:
    """The letter, or the last of up to `most`, that is joined to one in this way."""
    return re.compile(rf"(?:\s*(?:{joint})\s*\W{{0,2}}{letter}){{1,{most}}}").match(found.string, found.end())


def _is_prose(found: re.Match[str]) -> bool:
    """Whether the letter is a word that goes on in small letters: "A man", "I think"; not so in "I choose A here"."""
    letter, text, start, end = found[1], found.string, found.start(1), found.end()
    if letter not in _ARTICLES or not _PROSE.match(text, end):
        return False
    return letter == "I" or not (_OPTION.search(text, max(0, start - _FARTHEST), start) or _NO_NOUN.match(text, end))
