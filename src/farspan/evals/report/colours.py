"""The report's colours, for a light page and a dark one; each also has a mark, a number or a dash that says the same.

Lines follow Okabe and Ito's palette, darkened or lightened until it stands out from the page. Scores run from orange
through grey to blue, which all kinds of colour vision tell apart, mixed in OKLab (Ottosson 2020) so that steps look
alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

STEPS = 20
Dashes = str | tuple[float, tuple[float, ...]]
LIGHT_LINES = ("#20252b", "#0068a8", "#c24c06", "#007a5a", "#a8437f", "#836200", "#3f8fc0", "#6f55b8")
DARK_LINES = ("#eef1f4", "#5cb2f0", "#ff9552", "#3fcf9f", "#f29fd1", "#e4c24c", "#a3d8f7", "#bba5ff")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "p")
_GLYPHS = ("\u25cf", "\u25a0", "\u25b2", "\u25c6", "\u25bc", "\u271a", "\u2716", "\u2b1f")
_DASHES: tuple[Dashes, ...] = (
    "-",
    (0, (6, 2)),
    (0, (2, 1.4)),
    (0, (7, 2, 1.5, 2)),
    (0, (4, 1.5)),
    (0, (1, 1.4)),
    (0, (9, 3)),
    (0, (3, 4)),
)
INK, MUTED, GRID, PAPER = "#1c2126", "#5d6670", "#dfe3e7", "#fdfdfc"
_LIGHT_SCORES = ("#c9521c", "#f1ede6", "#1b5fa6")
_DARK_SCORES = ("#d2642a", "#2c3138", "#5aa6ea")


def line_colour(number: int) -> str:
    """The colour of a method's line on a light page; after as many methods as there are colours they come again."""
    return LIGHT_LINES[number % len(LIGHT_LINES)]


def mark(number: int) -> str:
    """The mark of a method in matplotlib's words; with a colour that comes again it is another one."""
    return _MARKS[_shifted(number)]


def glyph(number: int) -> str:
    """The same mark as a character."""
    return _GLYPHS[_shifted(number)]


def dashes(number: int) -> Any:
    """The dashes of a method's line in matplotlib's words."""
    return _DASHES[_shifted(number)]


def _shifted(number: int) -> int:
    return (number + number // len(LIGHT_LINES)) % len(_MARKS)


def scale(ends: Sequence[str]) -> list[str]:
    """STEPS + 1 colours through the three given."""
    low, middle, high = (_lab(colour) for colour in ends)
    half = STEPS // 2
    left = [_mixed(low, middle, step / half) for step in range(half)]
    return left + [_mixed(middle, high, step / half) for step in range(half + 1)]


def light_scale() -> list[str]:
    """The colours of scores on a light page, 0 first."""
    return scale(_LIGHT_SCORES)


def dark_scale() -> list[str]:
    """The colours of scores on a dark page, 0 first."""
    return scale(_DARK_SCORES)


def step(score: float) -> int:
    """Which colour of a scale a score takes; only a perfect score takes the last."""
    return min(STEPS, int(score * STEPS + 1e-9))


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on a colour."""
    return max(("#000000", "#ffffff"), key=lambda ink: contrast(ink, colour))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours after WCAG 2: 1 none, 21 black on white; text wants 4.5."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def style() -> str:
    """The style sheet's variables for lines and rules for scores, light first, dark where the reader's system is."""
    dark = _rules(DARK_LINES, dark_scale())
    return f"{_rules(LIGHT_LINES, light_scale())}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _rules(lines: Sequence[str], scores: Sequence[str]) -> str:
    variables = "".join(f"--m{number}:{colour};" for number, colour in enumerate(lines))
    rules = [f".s{number}{{background:{colour};color:{text_on(colour)}}}" for number, colour in enumerate(scores)]
    return "\n".join([f":root{{{variables}}}", *rules])


def _linear(colour: str) -> list[float]:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _lab(colour: str) -> list[float]:
    red, green, blue = _linear(colour)
    cones = (
        0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue,
        0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue,
        0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue,
    )
    long, medium, short = (max(0.0, cone) ** (1 / 3) for cone in cones)
    return [
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    ]


def _mixed(one: Sequence[float], other: Sequence[float], share: float) -> str:
    light, a, b = (first + (second - first) * share for first, second in zip(one, other, strict=True))
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    parts = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(min(1.0, max(0.0, part)))):02x}" for part in parts)


def _encoded(part: float) -> float:
    return 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
