"""Charts: every value is where its axis says, all has its word, nothing is drawn outside."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from baluarte.apps.charts.frame import HEIGHT, LEFT, RIGHT, WIDTH, Frame
from baluarte.apps.charts.plot import histogram, plot
from baluarte.apps.charts.rows import bars, intervals
from baluarte.apps.charts.timeline import timeline
from baluarte.apps.charts.values import (
    Axis,
    Bar,
    Dot,
    Interval,
    Line,
    Mark,
    Moment,
    Sample,
    Span,
)
from baluarte.apps.html import Html
from baluarte.apps.numerals import Numerals

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def texts(chart: Html) -> list[str]:
    return ["".join(each.itertext()) for each in ET.fromstring(chart).iter("text")]


def inside(chart: Html) -> None:
    root = ET.fromstring(chart)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for each in root.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert 0 <= float(each.attrib.get(key, 0)) <= width
        for key in ("y", "y1", "y2", "cy"):
            assert -1 <= float(each.attrib.get(key, 0)) <= height
        for key in ("width", "height", "r"):
            assert float(each.attrib.get(key, 0)) >= 0


def test_a_histogram_has_both_axes_the_names_and_the_limit() -> None:
    chart = histogram(
        [
            Sample(name="not attacks", values=[0.0, 1.0, 1.0, 2.0]),
            Sample(name="attacks", values=[5.0, 9.0], shade="dark"),
        ],
        x=Axis(label="score (margin)"),
        y=Axis(label="share of events", percent=True),
        marks=[Mark(at=4.0, label="alert above 4")],
    )
    inside(chart)
    shown = texts(chart)
    for word in ("not attacks", "attacks", "score (margin)", "share of events", "alert above 4"):
        assert word in shown
    assert "0 %" in shown


def test_a_bar_of_the_histogram_is_as_high_as_its_share() -> None:
    chart = histogram(
        [Sample(name="a", values=[0.0, 0.0, 0.0, 10.0])],
        x=Axis(label="x", low=0, high=10),
        y=Axis(label="y", high=1.0),
        bins=10,
    )
    path = next(e for e in ET.fromstring(chart).iter("path") if "line" in e.attrib["class"])
    frame = Frame(Axis(label="x"), Axis(label="y"), (0.0, 10.0), (0.0, 1.0), Numerals("en"))
    first = float(NUMBER.findall(path.attrib["d"])[1])
    last = float(NUMBER.findall(path.attrib["d"])[-1])
    assert first == pytest.approx(frame.y(0.75), abs=0.1)
    assert last == pytest.approx(frame.y(0.25), abs=0.1)


def test_a_logarithmic_axis_has_decades_and_shows_only_what_is_positive() -> None:
    chart = plot(
        [Line(name="recall", x=[0.0001, 0.01, 1.0], y=[0.2, 0.6, 1.0])],
        x=Axis(label="false alarms", log=True, percent=True),
        y=Axis(label="recall", low=0, high=1, percent=True),
    )
    assert [text for text in texts(chart) if text in ("0.01 %", "0.1 %", "1 %", "10 %", "100 %")]
    frame = Frame(
        Axis(label="", log=True), Axis(label=""), (0.0001, 1.0), (0.0, 1.0), Numerals("en")
    )
    assert frame.x(0.01) == pytest.approx((LEFT + WIDTH - RIGHT) / 2)
    assert frame.x(0.0) == LEFT


def test_what_lies_outside_the_axis_stays_on_its_edge() -> None:
    frame = Frame(Axis(label=""), Axis(label=""), (0.0, 1.0), (0.0, 1.0), Numerals("en"))
    assert frame.x(7.0) == WIDTH - RIGHT
    assert frame.x(-7.0) == LEFT
    assert frame.y(7.0) == frame.top


def test_each_gate_has_figure_bound_limit_symbol_and_word() -> None:
    chart = intervals(
        [
            Interval(
                label="recall", value=0.994, low=0.991, high=None, limit=0.95,
                keep="above", tone="kept", verdict="pass", percent=True,
            ),
            Interval(
                label="false alarms", value=0.012, low=None, high=0.0145, limit=0.01,
                keep="below", tone="broken", verdict="fail", percent=True,
            ),
        ]
    )  # fmt: skip
    inside(chart)
    shown = texts(chart)
    assert "99.4 % (≥ 99.1 %)" in shown
    assert "1.2 % (≤ 1.45 %)" in shown
    assert "≥ 95 %" in shown
    assert "✓ pass" in shown
    assert "✗ fail" in shown


def test_bars_are_proportional_and_labelled_in_the_language() -> None:
    chart = bars(
        [Bar(label="http", value=0.5, other=0.25), Bar(label="x" * 60, value=0.125, other=0.0)],
        x=Axis(label="parte", percent=True),
        names=("actual", "referencia"),
        numerals=Numerals("es"),
    )
    inside(chart)
    widths = [
        float(e.attrib["width"])
        for e in ET.fromstring(chart).iter("rect")
        if float(e.attrib["width"]) != 12
    ]
    assert widths[1] == pytest.approx(widths[0] / 2, abs=0.1)
    assert widths[2] == pytest.approx(widths[0] / 4, abs=0.1)
    assert "12,5 %" in texts(chart)


def test_flags_on_the_time_line_never_cover_each_other() -> None:
    moments = [Moment(at=at, label=f"something happened at {at}") for at in (10, 20, 30, 900, 990)]
    chart = timeline(
        moments, [Span(start=0, stop=1_000, label="v1")], x=Axis(label="events", low=0)
    )
    inside(chart)
    rows: dict[float, list[float]] = {}
    for each in ET.fromstring(chart).iter("text"):
        if "strong" in each.attrib["class"]:
            rows.setdefault(float(each.attrib["y"]), []).append(float(each.attrib["x"]))
    assert len(rows) >= 3
    assert len(texts(chart)) >= len(moments)


def test_capitals_get_the_room_that_they_take() -> None:
    moments = [
        Moment(at=4_250, label="CONTRACT BROKEN", tone="broken"),
        Moment(at=8_600, label="Retrain", tone="kept"),
    ]
    chart = timeline(moments, [Span(start=0, stop=22_544, label="v1")], x=Axis(label="e", low=0))
    rows = [
        each.attrib["y"]
        for each in ET.fromstring(chart).iter("text")
        if "strong" in each.attrib["class"]
    ]
    assert len(set(rows)) == 2


FINITE = st.floats(-1e12, 1e12)


@settings(deadline=None)
@given(values=st.lists(FINITE, max_size=30), log=st.booleans(), at=FINITE)
@example(values=[0.0, 5e-324], log=False, at=0.0)
@example(values=[5e-324], log=True, at=0.0)
def test_any_values_give_a_chart_within_its_frame(
    values: list[float], log: bool, at: float
) -> None:
    x = Axis(label="x", log=log)
    inside(
        histogram(
            [Sample(name="s", values=values)],
            x=x,
            y=Axis(label="y"),
            marks=[Mark(at=at, label="m")],
        )
    )
    ys = list(np.linspace(0, 1, len(values)))
    inside(
        plot(
            [Line(name="l", x=values, y=ys)],
            x=x,
            y=Axis(label="y"),
            dots=[Dot(x=at, y=0.5, label="d")],
        )
    )


@pytest.mark.parametrize("values", [[], [np.nan, np.inf], [3.0], [5.0, 5.0]])
def test_nothing_or_one_value_is_a_chart_too(values: list[float]) -> None:
    chart = histogram([Sample(name="s", values=values)], x=Axis(label="x"), y=Axis(label="y"))
    inside(chart)
    assert f"0 0 {WIDTH:.0f} {HEIGHT:.0f}" in chart
