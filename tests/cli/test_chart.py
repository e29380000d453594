"""The chart: valid SVG, a row a line in the terminal, and the numbers behind it."""

from __future__ import annotations

from xml.etree import ElementTree

from farspan.cli import chart

FLAT = chart.Line("farspan", [(0, 0), (1024, 4 << 20), (65536, 4 << 20)])
RISING = chart.Line("keep everything", [(0, 0), (32768, 128 << 20), (65536, 256 << 20)])


def test_svg_has_every_line() -> None:
    root = ElementTree.fromstring(chart.svg("Memory", [FLAT, RISING]))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert len(lines) == 2
    labels = [text.text for text in root.findall(f"{space}text")]
    assert {"Memory", "farspan", "keep everything", "64K", "256MiB", "tokens read"} <= set(labels)
    heights = [float(point.split(",")[1]) for point in lines[0].attrib["points"].split()]
    assert heights[1] == heights[2]


def test_terminal_shows_the_flat_line() -> None:
    flat, rising, axis = chart.terminal([FLAT, RISING])
    assert flat.split()[1] == chart.BLOCKS[0] * 56 and flat.endswith("4MiB")
    assert rising.split()[2].endswith(chart.BLOCKS[7]) and rising.endswith("256MiB")
    assert axis.endswith("64K tokens")


def test_csv_has_every_point() -> None:
    rows = chart.csv([FLAT, RISING]).splitlines()
    assert rows[0] == "line,tokens,bytes"
    assert "farspan,1024,4194304" in rows and len(rows) == 7
