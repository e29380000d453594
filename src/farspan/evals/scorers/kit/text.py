"""Reading a reply as text: plain forms to compare, lines, tags, sentences. All of it in time linear in the reply."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_ASCII = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2212": "-",
        "\u2010": "-",
        "\u2011": "-",
        "\uff0c": ",",
        "\u3001": ",",
        "\uff1b": ";",
        "\u3010": "[",
        "\u3011": "]",
        "\u00a0": " ",
    }
)
_EDGES = " \t\n\"'`*_.,;:!"
_FENCE = re.compile(r"[ \t]*(?:```|~~~)")
_FENCE_ALONE = re.compile(r"[ \t]*(?:```|~~~)\w{0,20}[ \t]*")
_BULLET = re.compile(r"(?:[-*+\u2022>]|#{1,6}|\(?\d{1,6}[.)])\s+")
_BEFORE_LEAD = r"\W*(?:(?:so|thus|therefore|hence),?\s+)?(?:the\s+)?(?:final\s+|correct\s+)?"
_AFTER_LEAD = r"[*_\"'`]{0,3}(?:\s*(?:is)?\s*[:=]|\s+is\b)[\s*_\"'`]{0,3}"
_CUT_TAG = re.compile(r"</?\w{0,40}$")
_STOP = re.compile(r"[.!?](?=\s|$)|\n")
_MOST_SHOWN = 50


def straight(text: str) -> str:
    """With the ASCII forms of curly quotes, minus signs, hyphens, full-width commas and the like."""
    return text.translate(_ASCII)


def plain(text: str) -> str:
    """For comparing: no case, no emphasis, no quotes or punctuation at the ends, single spaces, Unicode in one form."""
    flat = " ".join(straight(unicodedata.normalize("NFKC", text)).replace("**", "").split())
    return flat.strip(_EDGES).casefold()


def lines(text: str) -> list[str]:
    """The lines that say something, without code fences, bullets, numbers of a list and outer white space."""
    kept = (line for line in text.splitlines() if not _FENCE.match(line))
    return [line for line in (unlisted(line) for line in kept) if line]


def unlisted(line: str) -> str:
    """A line without the bullet, number or heading mark it begins with, and without bold marks."""
    bare = line.strip()
    found = _BULLET.match(bare)
    return (bare[found.end() :] if found else bare).replace("**", "").strip()


def unfenced(text: str) -> list[str]:
    """The lines that say something, as they are, without those that only open or close a code fence."""
    return [line for line in text.splitlines() if line.strip() and not _FENCE_ALONE.fullmatch(line)]


def unled(line: str, lead: str = "answer") -> str:
    """A line without a lead such as "The answer is:"."""
    found = re.match(_BEFORE_LEAD + re.escape(lead) + _AFTER_LEAD, line, re.IGNORECASE)
    return line[found.end() :] if found else line


def first_line(text: str) -> str:
    """The first line that is not empty."""
    return text.lstrip().partition("\n")[0]


def first_sentence(text: str) -> str:
    """Up to the first full stop, question or exclamation mark or end of line; a colon does not end a line."""
    joined = re.sub(r":[*_ \t]*\n\s*", ": ", text.strip())
    found = _STOP.search(joined)
    return joined[: found.start()] if found else joined


def last_question(text: str) -> str:
    """The last sentence that ends in a question mark; empty when there is none."""
    return re.split(r"[.!?\n]", text.rpartition("?")[0])[-1]


def tagged(text: str, tag: str) -> str | None:
    """What stands between the last <tag> and </tag>; one of the two may be missing. None without either."""
    marks = list(re.finditer(rf"<(/?){re.escape(tag)}\s{{0,8}}>", text, re.IGNORECASE))
    if not marks:
        return None
    for i in range(len(marks) - 1, 0, -1):
        if marks[i][1] and not marks[i - 1][1]:
            return text[marks[i - 1].end() : marks[i].start()]
    return text[: marks[0].start()] if marks[0][1] else _CUT_TAG.sub("", text[marks[-1].end() :].rstrip())


def brief(items: Sequence[str]) -> list[str]:
    """The first items, each cut, so that a row of results stays small whatever a model wrote."""
    return [item[:200] for item in items[:_MOST_SHOWN]]
