"""Distributions and curves: lines, points and limits over two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from baluarte.apps.charts.frame import (
    CHARACTER,
    ENGLISH,
    HEIGHT,
    LEFT,
    LOG_FLOOR,
    RIGHT,
    WIDTH,
    Frame,
    canvas,
    legend,
    span_of,
)
from baluarte.apps.charts.values import Axis, Dot, Line, Mark, Sample
from baluarte.apps.html import Html, join, tag
from baluarte.apps.numerals import Numerals

HEADROOM = 1.1  #: of a y axis over its data, for the words of marks


def histogram(
    samples: Sequence[Sample],
    *,
    x: Axis,
    y: Axis,
    marks: Sequence[Mark] = (),
    bins: int = 48,
    numerals: Numerals = ENGLISH,
) -> Html:
    """The share of each sample in each of ``bins`` equal steps of x (of its logarithm if log)."""
    kept = [np.asarray(s.values, dtype=np.float64) for s in samples]
    kept = [values[np.isfinite(values) & ((values > LOG_FLOOR) | (not x.log))] for values in kept]
    every = np.concatenate([*kept, [mark.at for mark in marks if mark.axis == "x"]])
    low, high = span_of(x, every)
    edges = np.geomspace(low, high, bins + 1) if x.log else np.linspace(low, high, bins + 1)
    edges[0], edges[-1] = low, high
    lines = []
    for sample, values in zip(samples, kept, strict=True):
        counts = np.histogram(np.clip(values, low, high), edges)[0]
        shares = counts / max(len(values), 1)
        heights = [*shares.tolist(), float(shares[-1])]
        lines.append(
            Line(name=sample.name, x=edges.tolist(), y=heights, shade=sample.shade, step=True)
        )
    x = replace(x, low=low, high=high)
    y = replace(y, low=0.0) if y.low is None and not y.log else y
    return plot(lines, x=x, y=y, marks=marks, area=True, numerals=numerals)


def plot(
    lines: Sequence[Line],
    *,
    x: Axis,
    y: Axis,
    dots: Sequence[Dot] = (),
    marks: Sequence[Mark] = (),
    area: bool = False,
    numerals: Numerals = ENGLISH,
) -> Html:
    """Lines, points and limits over two axes."""
    xs = [v for line in lines for v in line.x] + [dot.x for dot in dots]
    xs += [mark.at for mark in marks if mark.axis == "x"]
    ys = [
        v
        for line in lines
        for part in (line.y, line.low, line.high)
        if part is not None
        for v in part
    ]
    ys += [v for dot in dots for v in (dot.y, dot.low, dot.high) if v is not None]
    ys += [mark.at for mark in marks if mark.axis == "y"]
    low, high = span_of(y, np.asarray(ys))
    head = 1.0 if y.high is not None or y.log else HEADROOM
    frame = Frame(x, y, span_of(x, np.asarray(xs)), (low, low + (high - low) * head), numerals)
    parts = [
        frame.axes(),
        *(_interval_band(line, frame) for line in lines),
        *(_line(line, frame, area=area) for line in lines),
        *(_mark(mark, frame) for mark in marks),
        *(_dot(dot, frame) for dot in dots),
        legend([(line.name, line.shade) for line in lines if line.name], area=area),
    ]
    return canvas(HEIGHT, f"{y.label} / {x.label}", parts)


def _line(line: Line, frame: Frame, *, area: bool) -> Html:
    points = [(frame.x(x), frame.y(y)) for x, y in zip(line.x, line.y, strict=True)]
    if not points:
        return Html("")
    steps = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for x, y in points[1:]:
        steps.append(f"H{x:.1f}V{y:.1f}" if line.step else f"L{x:.1f},{y:.1f}")
    path = "".join(steps)
    shape = tag("path", d=path, class_=f"line {line.shade}")
    if not area:
        return shape
    floor = f"{frame.bottom:.1f}"
    closed = f"M{points[0][0]:.1f},{floor}L{path[1:]}V{floor}Z"
    return join([tag("path", d=closed, class_=f"area {line.shade}"), shape])


def _interval_band(line: Line, frame: Frame) -> Html:
    if line.low is None or line.high is None:
        return Html("")
    there = [(frame.x(x), frame.y(y)) for x, y in zip(line.x, line.high, strict=True)]
    back = [(frame.x(x), frame.y(y)) for x, y in zip(line.x, line.low, strict=True)]
    outline = "L".join(f"{x:.1f},{y:.1f}" for x, y in [*there, *reversed(back)])
    return tag("path", d=f"M{outline}Z", class_="band")


def _mark(mark: Mark, frame: Frame) -> Html:
    if mark.axis == "y":
        y = frame.y(mark.at)
        line = tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_=f"mark {mark.tone}")
        style = f"label end halo {mark.tone}"
        return join([line, tag("text", mark.label, x=WIDTH - RIGHT - 4, y=y - 6, class_=style)])
    x = frame.x(mark.at)
    flip = x + len(mark.label) * CHARACTER + 8 > WIDTH
    line = tag("line", x1=x, x2=x, y1=frame.top - 4, y2=frame.bottom, class_=f"mark {mark.tone}")
    style = f"label halo {mark.tone}{' end' if flip else ''}"
    place = x - 6 if flip else x + 6
    return join([line, tag("text", mark.label, x=place, y=frame.top + 6, class_=style)])


def _dot(dot: Dot, frame: Frame) -> Html:
    x, y = frame.x(dot.x), frame.y(dot.y)
    parts = []
    if dot.low is not None and dot.high is not None:
        a, b = frame.y(dot.low), frame.y(dot.high)
        parts.append(tag("line", x1=x, x2=x, y1=a, y2=b, class_=f"whisker {dot.tone}"))
    parts.append(tag("circle", cx=x, cy=y, r=4.5, class_=f"dot {dot.tone}"))
    if dot.label:
        flip = x + len(dot.label) * CHARACTER + 12 > WIDTH
        style = f"label strong halo {dot.tone}{' end' if flip else ''}"
        below = y + 18 if y < frame.top + 24 else y - 10
        parts.append(tag("text", dot.label, x=x - 8 if flip else x + 8, y=below, class_=style))
    return join(parts)
