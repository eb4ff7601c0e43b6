"""Charts: right numbers in the right places, and nothing in them that a browser would run."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import charts
from curation.charts import Bin, Estimate, Point, Series, Stage, Svg

NASTY = "</title><script>alert(1)</script>\" onload='x' & <b>"
SVG = "{http://www.w3.org/2000/svg}"


def every_chart(text: str) -> list[Svg]:
    return [
        charts.funnel([Stage(text, 5, text, f"/p/{text}")], text),
        charts.histogram([Bin(0, 1, 3, text)], text, x_label=text, y_label=text, css=text),
        charts.scatter([Point(1, 2, text, text), Point(3, 4)], text, x_label=text),
        charts.line([Series(text, [(0, 1), (1, 2)]), Series("b", [(0, 3)])], text, y_label=text),
        charts.sparkline([1, 2, 3], text),
        charts.intervals([Estimate(text, 0.5, 0.4, 0.6, text)], text),
        charts.stacked([(text, 3, text)], text),
        charts.minimap([(0, 5, text)], [(1, 2)], 5),
        charts.empty(text),
    ]


def shapes(svg: Svg, name: str) -> list[dict[str, str]]:
    return [dict(e.attrib) for e in ElementTree.fromstring(svg).iter(f"{SVG}{name}")]


@given(st.text(max_size=40))
def test_any_text_gives_well_formed_svg_without_script_style_or_handlers(text: str) -> None:
    for svg in every_chart("".join(c for c in text if c.isprintable())):
        for element in ElementTree.fromstring(svg).iter():
            assert not element.tag.endswith(("script", "style", "foreignObject"))
            assert not [name for name in element.attrib if name.startswith("on") or name == "style"]


def test_markup_in_labels_is_text() -> None:
    for svg in every_chart(NASTY):
        assert "<script" not in svg and "<b>" not in svg


def test_every_chart_says_what_it_is() -> None:
    for svg in every_chart("label"):
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img" and root.attrib["aria-label"]


def test_templates_take_a_chart_as_it_is() -> None:
    from django.utils.html import conditional_escape

    svg = charts.empty("x")
    assert str(conditional_escape(svg)) == str(svg)


def test_bars_of_a_funnel_are_as_long_as_their_share() -> None:
    bars = shapes(charts.funnel([Stage("a", 400), Stage("b", 100), Stage("c", 0)]), "rect")
    widths = [float(bar["width"]) for bar in bars]
    assert widths[1] == pytest.approx(widths[0] / 4)
    assert 0 < widths[2] < 3


def test_bars_of_a_histogram_stand_on_the_axis_and_rise_by_their_count() -> None:
    bars = shapes(charts.histogram([Bin(0, 1, 2), Bin(1, 2, 8), Bin(2, 3, 0)], "h"), "rect")
    heights = [float(bar["height"]) for bar in bars]
    assert heights[1] == pytest.approx(4 * heights[0])
    assert heights[2] == 0
    feet = {round(float(bar["y"]) + float(bar["height"]), 1) for bar in bars}
    assert len(feet) == 1


def test_a_line_is_broken_where_a_value_is_not_finite() -> None:
    points = [(0.0, 1.0), (1.0, math.nan), (2.0, 3.0), (3.0, math.inf), (4.0, 2.0)]
    paths = shapes(charts.line([Series("loss", points)], "l"), "path")
    assert re.sub(r"[\d. ]+", "", paths[0]["d"]) == "MMM"
    whole = shapes(charts.line([Series("loss", [(0, 1), (1, 2), (2, 0)])], "l"), "path")
    assert re.sub(r"[\d. ]+", "", whole[0]["d"]) == "MLL"


def test_higher_values_are_drawn_higher() -> None:
    path = shapes(charts.line([Series("a", [(0, 1), (1, 5)])], "l"), "path")[0]["d"]
    (x0, y0), (x1, y1) = re.findall(r"[ML]([\d.]+) ([\d.]+)", path)
    assert float(x1) > float(x0) and float(y1) < float(y0)


def test_an_interval_lies_around_its_value() -> None:
    svg = charts.intervals([Estimate("student", 0.61, 0.51, 0.70, "61 of 100")], "rates")
    whisker = next(e for e in shapes(svg, "line") if e["class"] == "whisker")
    spot = float(shapes(svg, "circle")[0]["cx"])
    assert float(whisker["x1"]) < spot < float(whisker["x2"])
    assert "61.0% (0.51–0.70)" in svg and "61 of 100" in svg


def test_parts_of_a_whole_fill_it() -> None:
    parts = shapes(charts.stacked([("a", 3, ""), ("b", 1, "")], "v"), "rect")
    assert float(parts[1]["x"]) == pytest.approx(charts.WIDTH * 0.75)
    assert shapes(charts.stacked([("a", 0, "")], "v"), "rect")[0]["width"] == "0"


@pytest.mark.parametrize("chart", [charts.histogram, charts.scatter, charts.line, charts.intervals])
def test_a_chart_without_data_says_so(chart: object) -> None:
    assert "no data yet" in chart([], "empty")  # type: ignore[operator]


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.integers(1, 9))
def test_ticks_are_round_few_and_inside(low: float, width: float, wanted: int) -> None:
    high = low + width
    ticks = charts.nice_ticks(low, high, wanted)
    assert len(ticks) <= 2.5 * wanted + 2
    slack = 1e-6 * max(abs(low), abs(high), width)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert ticks == sorted(ticks)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (7, "7"), (1234, "1,234"), (12345, "12.3k"), (1.5e6, "1.5M"), (0.25, "0.25"),
     (3.14159, "3.14"), (math.nan, "–"), (-20000, "-20k"), (1513.4, "1,513"), (999.7, "1,000"),
     (9999.7, "10k"), (999_900, "1M"), (99.97, "100")],
)  # fmt: skip
def test_numbers_are_short(value: float, shown: str) -> None:
    assert charts.number(value) == shown


@given(st.lists(st.floats(0, 1), max_size=60))
def test_each_value_falls_into_one_bin(values: list[float]) -> None:
    found = charts.bins(values, 0, 1, 10)
    assert sum(b.count for b in found) == len(values)
    assert found[-1].high == pytest.approx(1)


def test_the_module_is_pure() -> None:
    code = "import sys, curation.charts; print([m for m in sys.modules if m == 'django'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
