"""Reading numbers out of a reply: `-1,234.50`, `1e3`, `45%`, `$7`; exact, as decimals, whatever their size."""

from __future__ import annotations

import re
from decimal import Decimal

from farspan.evals.scorers.kit.text import straight

# Possessive quantifiers keep it linear. A sign counts where nothing stands before it, so `3-5` holds 3 and 5.
_NUMBER = re.compile(
    r"(?:(?<![\w)\]])(?P<sign>[-+]))?+[$\u20ac\u00a3]?+(?<!\w)"
    r"(?P<digits>(?:[0-9]{1,3}(?:,[0-9]{3}){1,40}+(?![0-9])|[0-9]++)(?:\.[0-9]++)?+|(?<!\.)\.[0-9]++)"
    r"(?P<power>[eE][-+]?[0-9]{1,3}(?!\w))?+"
    r"(?!(?:st|nd|rd|th)\b)(?![^\W\d_]{1,40}+\d)"
)
_AROUND = " \t\n\"'`*_%"
_LONGEST = 400


def numbers(text: str) -> list[Decimal]:
    """All numbers, in their order.

    Ordinals ("3rd"), and digits inside words and identifiers (`x2`, `3fa85f`) are none. A percent sign, a currency
    and a unit are left aside. Numbers of more than 400 characters are no numbers.
    """
    found = _NUMBER.finditer(straight(text).replace("{,}", ","))
    return [_decimal(match) for match in found if match.end() - match.start() <= _LONGEST]


def number(text: str) -> Decimal | None:
    """The number that the whole text is, marks and units of money or percent aside; None when it is something else."""
    bare = straight(text).strip(_AROUND).removesuffix(".").strip(_AROUND)
    if len(bare) > _LONGEST:
        return None
    found = _NUMBER.fullmatch(bare)
    return _decimal(found) if found else None


def same(one: Decimal, other: Decimal, tolerance: float = 0.0) -> bool:
    """Whether `one` is `other`, or no further from it than that share of it."""
    if not tolerance:
        return one == other
    return abs(one - other) <= abs(other) * Decimal(str(tolerance))


def _decimal(match: re.Match[str]) -> Decimal:
    sign, power = match["sign"] or "", match["power"] or ""
    return Decimal(sign + match["digits"].replace(",", "") + power)
