"""Rules that one public benchmark has for one of its parts, where no common rule will do."""

from __future__ import annotations

import re

from farspan.evals.scorers.base import Score, occurs
from farspan.evals.scorers.kit.share import bag_f1
from farspan.evals.scorers.kit.text import brief, first_line, first_sentence, lines, plain, straight, unled
from farspan.evals.scorers.kit.tokens import squad_words
from farspan.tasks import Turn

_SUBSET = 0.25
_MARKS = re.compile(r"[,'\"\\`]+")
_INSIDE = re.compile(r"(?<=[\[({])\s+|\s+(?=[\])}])|(?<=\])\s+(?=\[)")


def class_name(text: str, turn: Turn) -> Score:
    """1 over the number of classes that the reply's first line names, if the gold one is among them (LongBench).

    options: `classes`, all of them. A class whose name is part of the gold one's does not count beside it. Upstream
    takes such names out of the list that it walks through, and so leaves every second one in.
    """
    line, gold = first_line(text), _gold(turn)
    named = [one for one in map(str, turn.options.get("classes", turn.gold)) if one and one in line]
    counted = [one for one in dict.fromkeys(named) if one == gold or one not in gold]
    right = bool(gold) and gold in counted
    return Score(1 / len(counted) if right else 0.0, null=not named, parsed=brief(named))


def number_share(text: str, turn: Turn) -> Score:
    """The share of the reply's runs of digits that are the gold number (LongBench, counting and retrieval)."""
    found = [one.lstrip("0") or "0" for one in re.findall(r"\d+", text)]
    wanted = (_gold(turn).lstrip("0") or "0") if turn.gold else ""
    return Score(found.count(wanted) / len(found) if found else 0.0, null=not found, parsed=brief(found))


def leading_numbers(text: str, turn: Turn) -> Score:
    """The share of the gold numbers that the reply lists up to its first mistake (InfiniteBench, Math.Calc).

    Upstream reads no signs, so that -4 and 4 are the same to it.
    """
    found = re.findall(r"(?<!\d)-?\d+", straight(text))
    right = 0
    for given, wanted in zip(found, turn.gold, strict=False):
        if _whole(given) != _whole(wanted):
            break
        right += 1
    return Score(right / max(1, len(turn.gold)), null=not found, parsed=right)


def masks(text: str, turn: Turn) -> Score:
    """The share of the masks that are given their gold name (LooGLE, cloze, its exact match).

    options: `masks`, in the order of the gold names. A name is what stands behind a mask up to the next one or the
    end of the line, without quotes, braces, colons and the like. Upstream evaluates the reply as Python.
    """
    known = [str(mask) for mask in turn.options.get("masks", ())]
    either = "|".join(map(re.escape, sorted(filter(None, known), key=len, reverse=True)))
    pieces = re.split(f"({either})", text) if either else [text]
    given: dict[str, str] = {}
    for mask, rest in zip(pieces[1::2], pieces[2::2], strict=False):
        name = plain((rest.lstrip("\"'`>*_ :=").splitlines() or [""])[0].strip("\"'`*_{}:;=-, "))
        given[mask] = name or given.get(mask, "")
    right = sum(given.get(mask) == plain(gold) for mask, gold in zip(known, turn.gold, strict=False))
    return Score(right / max(1, len(known), len(turn.gold)), null=not given, parsed=brief(list(given.values())))


def letters(text: str, turn: Turn) -> Score:
    """1 for exactly the gold letters, a quarter for some of them and no other (L-Eval, Coursera).

    options: `letters`, all of them. What counts are the words of nothing but such letters in the first sentence.
    """
    known = re.escape(str(turn.options.get("letters", "ABCDE")))
    said = first_sentence(unled((lines(straight(text)) or [""])[0]))
    found = set("".join(re.findall(rf"(?<![\w'])[{known}]+(?![\w'])", said)))
    wanted = set(_gold(turn))
    value = 1.0 if wanted and found == wanted else _SUBSET * (bool(found) and found < wanted)
    return Score(value, null=not found, parsed="".join(sorted(found)))


def parts_f1(text: str, turn: Turn) -> Score:
    """The mean over the parts of the gold answer, parted by commas, of the F1 of the nearest part (LoCoMo, multi-hop).

    The word `and` counts as little as articles do. Upstream reduces words to their stems, which is not done here, and a
    reply may hold any number of parts; here a reply with more than twice as many as there are is worth less in
    proportion. A gold answer of one part is compared with the whole reply too: `x, y` is right where it is `x and y`.
    """
    wanted, given = _parts(_gold(turn)), _parts(straight(text))
    best = [max((bag_f1(one, part) for one in given), default=0.0) for part in wanted]
    value = sum(best) / len(best) if best else 0.0
    value *= min(1.0, 2 * len(wanted) / max(1, len(given)))
    whole = bag_f1([word for part in given for word in part], wanted[0]) if len(wanted) == 1 else 0.0
    return Score(max(value, whole), parsed=len(given))


def code_output(text: str, turn: Turn) -> Score:
    """1 when what a program prints stands behind the last word `output`, or on the last line (L-Eval, CodeU).

    Commas, quotes and decimals of nothing but zeros are left aside, as upstream does.
    """
    shown = "\n".join(lines(text))
    tail = re.split(r"\boutputs?\b", shown, flags=re.IGNORECASE)[-1]
    if not re.search(r"\w", tail) or tail == shown:
        tail = shown.rpartition("\n")[2]
    return Score(float(any(occurs(_printed(gold), _printed(tail)) for gold in turn.gold)), parsed=tail.strip()[:200])


def _gold(turn: Turn) -> str:
    return turn.gold[0] if turn.gold else ""


def _whole(digits: str) -> str:
    sign = "-" if digits.startswith("-") else ""
    return sign + (digits.lstrip("-").lstrip("0") or "0")


def _parts(text: str) -> list[list[str]]:
    parts = ([word for word in squad_words(part) if word != "and"] for part in text.split(","))
    return [words for words in parts if words]


def _printed(text: str) -> str:
    flat = " ".join(_MARKS.sub(" ", re.sub(r"\.0+(?!\d)", "", text)).split())
    return _INSIDE.sub("", flat)
