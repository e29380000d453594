"""Sums of whole numbers, read and worked out by hand: `(3 + 4) * 2`. Nothing is handed to Python to evaluate."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\s*([0-9]{1,9}(?![0-9])|[-+*/()])")
_WRITTEN = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u22c5": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-"})
_LONGEST = 120


class NotASum(ValueError):
    """The text is no sum, or one that is not allowed."""


def worked_out(text: str, most: int) -> tuple[int, list[int]]:
    """What a sum comes to, and the numbers in it.

    Raises NotASum for anything else, for more than 120 characters, and where a result on the way is not a whole number
    from 1 to `most`.
    """
    if len(text) > _LONGEST:
        raise NotASum("too long")
    sum_ = _Sum(text, most)
    value = sum_.terms()
    if sum_.left:
        raise NotASum(f"{sum_.left[0]!r} is left over")
    return value, sum_.used


class _Sum:
    """A reader of one sum by recursive descent, with what it has still to read and the numbers it has met."""

    def __init__(self, text: str, most: int) -> None:
        written = text.translate(_WRITTEN).strip()
        self.left = _TOKEN.findall(written)
        if "".join(self.left) != "".join(written.split()):
            raise NotASum("it holds something else than numbers and signs")
        self.most = most
        self.used: list[int] = []

    def terms(self) -> int:
        """Products, added and taken away from the left."""
        value = self._factors()
        while self.left and self.left[0] in "+-":
            sign, other = self.left.pop(0), self._factors()
            value = self._within(value + other if sign == "+" else value - other)
        return value

    def _factors(self) -> int:
        value = self._one()
        while self.left and self.left[0] in "*/":
            sign, other = self.left.pop(0), self._one()
            if sign == "/" and value % other:
                raise NotASum(f"{value} / {other} is no whole number")
            value = self._within(value * other if sign == "*" else value // other)
        return value

    def _one(self) -> int:
        if not self.left:
            raise NotASum("it ends too early")
        token = self.left.pop(0)
        if token == "(":
            value = self.terms()
            if not self.left or self.left.pop(0) != ")":
                raise NotASum("a bracket stays open")
            return value
        if not token.isdigit() or int(token) == 0:
            raise NotASum(f"{token!r} stands where a number should")
        self.used.append(int(token))
        return int(token)

    def _within(self, value: int) -> int:
        if not 1 <= value <= self.most:
            raise NotASum(f"{value} is not from 1 to {self.most}")
        return value
