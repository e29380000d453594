"""What every scorer shares: the score, cleaning a reply, and knowing an echo or a listing when it sees one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from farspan.tasks import Turn

_CLOSED = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
_FEWEST, _FEWEST_OF_ONE = 3, 2


@dataclass(frozen=True, slots=True)
class Score:
    """What a reply earned, 0 to 1; `null` when nothing could be read from it; `parsed` is what was read, for JSON."""

    value: float
    null: bool = False
    parsed: Any = None


def cleaned(reply: str) -> str:
    """Without what was thought aloud, control characters and outer white space.

    Control characters become line ends as in RULER, but for the tab, which becomes a space so that a row of a table
    stays one line. A thought that was never closed, since the reply was cut off, is no answer either.
    """
    said = _OPEN.split(_CLOSED.split(reply)[-1], maxsplit=1)[0]
    return _CONTROL.sub("\n", said.replace("\t", " ")).strip()


def is_echo(text: str, turn: Turn) -> bool:
    """Whether a reply repeats the context: it holds at least half of the snippets taken from beside the evidence."""
    if len(turn.echoes) < 2:
        return False
    flat = " ".join(text.split())
    return 2 * sum(snippet in flat for snippet in turn.echoes) >= len(turn.echoes)


def is_listing(text: str, turn: Turn) -> bool:
    """Whether a reply holds answers to other questions: two of them where one answer is right and no other.

    Where there are several gold answers, at least three, and more than half of those that there are.
    """
    others = rivals(turn)
    held = sum(occurs(other, text) for other in others)
    if len(turn.gold) == 1:
        return held >= _FEWEST_OF_ONE
    return held >= _FEWEST and 2 * held > len(others)


def rivals(turn: Turn) -> list[str]:
    """The decoys that no right reply needs to say: those that stand in the query or in a gold answer are left out."""
    return [decoy for decoy in turn.decoys if not any(occurs(decoy, text) for text in (turn.query, *turn.gold))]


def occurs(wanted: str, text: str) -> bool:
    """Whether `wanted` stands in `text` as whole words, without regard to case; 42 does not stand in 3.42 or 42.5."""
    return place(wanted.casefold(), text.casefold()) >= 0


def place(wanted: str, text: str) -> int:
    """Where `wanted` first stands in `text` as whole words, case and all; -1 where it does not, or is empty."""
    at = text.find(wanted) if wanted else -1
    while at >= 0 and not _is_whole(text, at, at + len(wanted)):
        at = text.find(wanted, at + 1)
    return at


def last_place(wanted: str, text: str, end: int) -> int:
    """Where `wanted` last stands as whole words, beginning before `end`; -1 where it does not, or is empty."""
    at = text.rfind(wanted, 0, end - 1 + len(wanted)) if wanted else -1
    while at >= 0 and not _is_whole(text, at, at + len(wanted)):
        at = text.rfind(wanted, 0, at - 1 + len(wanted))
    return at


def _is_whole(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if _is_word(before[-1:]) or _is_word(after[:1]):
        return False
    first, last = text[start], text[end - 1]
    decimals = after[:1] == "." and after[1:].isdigit() and last.isdigit()
    return not decimals and not (before[1:] == "." and before[:1].isdigit() and first.isdigit())


def _is_word(mark: str) -> bool:
    return mark.isalnum() or mark == "_"
