"""The plot's rectangle: from values to places, with axes, ticks, names of series.

Sizes are in SVG units; a chart is as wide as its column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from baluarte.apps.charts.values import Axis, Shade
from baluarte.apps.html import Html, join, tag
from baluarte.apps.numerals import Numerals

WIDTH, HEIGHT = 720.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 20.0, 34.0, 46.0
CHARACTER = 6.4  #: estimated width of a character of a label
LOG_FLOOR = 1e-200  #: what a logarithmic axis takes for zero
NARROW = 1e-9  #: a range so narrow, beside its values, is that of one value
ENGLISH = Numerals("en")


class Frame:
    """The plot's rectangle: from values to places, and the axes around it."""

    def __init__(
        self,
        x: Axis,
        y: Axis,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        numerals: Numerals,
        *,
        top: float = TOP,
        bottom: float = HEIGHT - BOTTOM,
    ) -> None:
        self.x_spec, self.y_spec = x, y
        self.x_range, self.y_range = x_range, y_range
        self.top, self.bottom = top, bottom
        self.numerals = numerals

    def x(self, value: float) -> float:
        """The place of a value of the x axis; what lies outside its range stays on the edge."""
        return LEFT + _share(value, self.x_range, log=self.x_spec.log) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """The place of a value of the y axis, likewise."""
        share = _share(value, self.y_range, log=self.y_spec.log)
        return self.bottom - share * (self.bottom - self.top)

    def axes(self) -> Html:
        """Both axes, with a grid across for the y values."""
        said = amount_format(self.y_spec, self.numerals)
        parts = []
        for value in _ticks(self.y_range, log=self.y_spec.log, most=5):
            y = self.y(value)
            parts += [
                tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"),
                tag("text", said(value), x=LEFT - 8, y=y, dy=".32em", class_="tick end"),
            ]
        parts.append(tag("text", self.y_spec.label, x=0, y=self.top - 18, class_="axis-label"))
        return join([*parts, self.x_axis()])

    def x_axis(self) -> Html:
        """The x axis alone."""
        said = amount_format(self.x_spec, self.numerals)
        y = self.bottom
        parts = [tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="base")]
        for value in _ticks(self.x_range, log=self.x_spec.log, most=7):
            x = self.x(value)
            parts += [
                tag("line", x1=x, x2=x, y1=y, y2=y + 4, class_="base"),
                tag("text", said(value), x=x, y=y + 17, class_="tick middle"),
            ]
        end = WIDTH - RIGHT
        parts.append(tag("text", self.x_spec.label, x=end, y=y + 36, class_="axis-label end"))
        return join(parts)


def legend(entries: Sequence[tuple[str, Shade]], *, area: bool) -> Html:
    """Names of the series, from the right edge leftwards, so that the y label stays free."""
    parts = []
    end = WIDTH - RIGHT
    for name, shade in reversed(entries):
        start = end - len(name) * CHARACTER
        parts.append(tag("text", name, x=start, y=14, class_="label"))
        if area:
            box = {"x": start - 18, "y": 5.0, "width": 12, "height": 10}
            parts.append(tag("rect", class_=f"bar {shade}", **box))
        else:
            parts.append(
                tag("line", x1=start - 24, x2=start - 6, y1=10, y2=10, class_=f"line {shade}")
            )
        end = start - 40
    return join(parts)


def canvas(height: float, title: str, parts: Sequence[Html]) -> Html:
    """The drawing; its title is what a screen reader says."""
    return tag(
        "svg",
        tag("title", title),
        *parts,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        class_="chart",
    )


def span_of(axis: Axis, values: NDArray[np.float64]) -> tuple[float, float]:
    """The axis' range: as stated, or that of the finite values, never empty."""
    finite = values[np.isfinite(values) & ((values > LOG_FLOOR) | (not axis.log))]
    fallback = (1e-3, 1.0) if axis.log else (0.0, 1.0)
    low = float(finite.min()) if len(finite) else fallback[0]
    high = float(finite.max()) if len(finite) else fallback[1]
    low = axis.low if axis.low is not None else low
    high = axis.high if axis.high is not None else high
    if high - low <= NARROW * max(abs(low), abs(high), LOG_FLOOR):
        room = max(abs(low) / 20, 0.5)
        return (low / 2, low * 2) if axis.log else (low - room, low + room)
    return low, high


def _share(value: float, limits: tuple[float, float], *, log: bool) -> float:
    """Where a value stands between the limits, 0 to 1; what lies outside stays on the edge."""
    low, high = limits
    if log:
        value, low, high = (math.log(max(v, LOG_FLOOR)) for v in (value, low, high))
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _ticks(limits: tuple[float, float], *, log: bool, most: int) -> list[float]:
    """Round values in the range: decades on a log axis, steps of 1, 2 or 5 otherwise."""
    low, high = limits
    if log:
        decades = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        if len(decades) >= 2:
            return [10.0**k for k in decades][:: max(1, len(decades) // most)]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(k for k in (1, 2, 5, 10) if (high - low) / (step * k) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def amount_format(axis: Axis, numerals: Numerals) -> Callable[[float], str]:
    """How the axis' values are written."""
    return numerals.percent if axis.percent else (lambda v: numerals.number(v, 3))


def short(text: str, most: int) -> str:
    """The text, cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
