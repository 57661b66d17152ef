# SPDX-License-Identifier: Apache-2.0
"""Charts are well-formed SVG whose curves lie inside, whatever the numbers."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training_src.report.charts import DASHES, HEIGHT, WIDTH, Axes, Line, line_chart, reliability

numbers = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, 0.0, 1e-9])


@given(st.lists(st.lists(st.tuples(numbers, numbers), max_size=6), max_size=3))
def test_any_numbers_make_a_chart(curves: list[list[tuple[float, float]]]) -> None:
    lines = [Line(f"<{at}>", points, "#123456", marked=True) for at, points in enumerate(curves)]
    root = ElementTree.fromstring(line_chart(lines, Axes("a & b", "x", "y")))
    for circle in root.iter("circle"):
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH
        assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_greater_values_lie_higher_and_further_right() -> None:
    chart = line_chart([Line("loss", [(0, 1), (10, 3)], "red")], Axes("t", "step", "loss"))
    points = ElementTree.fromstring(chart).find("polyline")
    assert points is not None
    (x0, y0), (x1, y1) = (map(float, pair.split(",")) for pair in points.attrib["points"].split())
    assert x1 > x0 and y1 < y0


def test_ticks_are_round_and_within_the_range() -> None:
    chart = line_chart([], Axes("t", "recall", "precision", (0.0, 1.0), (0.0, 1.0)))
    labels = [text.text for text in ElementTree.fromstring(chart).iter("text")]
    assert labels.count("0.2") == 2 and labels.count("1") == 2


def test_lines_are_told_apart_without_colour_and_a_chart_says_what_it_shows() -> None:
    axes = Axes("t", "x", "y", (0.0, 1.0), (0.0, 1.0), "falls & rises", (0.25, "the served score"))
    lines = [Line(str(at), [(0, 0), (1, 1)], "red", dash=dash) for at, dash in enumerate(DASHES)]
    root = ElementTree.fromstring(line_chart(lines, axes))
    assert root.findtext("desc") == "falls & rises"
    assert [one.get("stroke-dasharray", "") for one in root.iter("polyline")] == list(DASHES)
    assert len(set(DASHES)) == len(DASHES)
    (mark,) = (one for one in root.iter("line") if one.get("class") == "mark-line")
    assert mark.findtext("title") == "the served score"
    first, last = root.find("polyline").attrib["points"].split()  # type: ignore[union-attr]
    left, right = (float(point.split(",")[0]) for point in (first, last))
    assert float(mark.attrib["x1"]) == pytest.approx(left + 0.25 * (right - left), abs=0.1)


def test_reliability_is_a_bar_for_each_bin_that_holds_something() -> None:
    bins = [(0.1, 0.2, None, "nothing"), (0.4, 0.5, 0.2, "few"), (0.8, 0.9, 0.8, "right & sure")]
    root = ElementTree.fromstring(reliability(Axes("t", "score", "right", description="d"), bins))
    heights = {one.findtext("title"): float(one.attrib["height"]) for one in root.iter("rect")}
    assert set(heights) == {"few", "right & sure"}
    assert heights["right & sure"] == pytest.approx(4 * heights["few"], abs=0.3)
