"""The time line of a detector: versions, and what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from baluarte.apps.charts.frame import (
    BOTTOM,
    CHARACTER,
    ENGLISH,
    LEFT,
    RIGHT,
    WIDTH,
    Frame,
    canvas,
    span_of,
)
from baluarte.apps.charts.values import SYMBOL, Axis, Moment, Span
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import Numerals

_CAPITAL = 1.4  #: width of a strong capital beside that of other letters


def timeline(
    moments: Sequence[Moment],
    spans: Sequence[Span],
    *,
    x: Axis,
    numerals: Numerals = ENGLISH,
) -> Html:
    """What held (versions) as bands below, what happened (alarms, labels) as flags above."""
    places = [m.at for m in moments] + [v for span in spans for v in (span.start, span.stop)]
    low, high = span_of(x, np.asarray(places))
    levels = _levels(moments, lambda v: LEFT + (v - low) / (high - low) * (WIDTH - LEFT - RIGHT))
    base = 24.0 + 22.0 * (max(levels, default=0) + 1)
    height = base + 76
    frame = Frame(
        x,
        Axis(label="", low=0, high=1),
        (low, high),
        (0.0, 1.0),
        numerals,
        top=base - 8,
        bottom=height - BOTTOM,
    )
    parts = [frame.x_axis()]
    for position, span in enumerate(spans):
        a, b = frame.x(span.start), frame.x(span.stop)
        shade = "dark" if position % 2 else "light"
        parts += [
            tag("rect", x=a, y=base, width=max(b - a, 1.0), height=20, class_=f"bar {shade} span"),
            tag("text", span.label, x=a + 6, y=base + 10, dy=".35em", class_=f"label on-{shade}"),
        ]
    for moment, level in zip(moments, levels, strict=True):
        a, y = frame.x(moment.at), base - 16 - level * 22.0
        text = f"{SYMBOL[moment.tone]} {moment.label}".strip()
        flip = a + _width(text) > WIDTH
        parts += [
            tag("line", x1=a, x2=a, y1=y - 8, y2=base, class_=f"flag {moment.tone}"),
            tag("circle", cx=a, cy=base, r=4, class_=f"dot {moment.tone}"),
            tag(
                "text",
                text,
                x=a - 6 if flip else a + 6,
                y=y,
                class_=f"label strong {moment.tone}{' end' if flip else ''}",
            ),
        ]
    return canvas(height, x.label, parts)


def _width(text: str) -> float:
    """How wide a strong label is; capitals take more room."""
    return CHARACTER * sum(_CAPITAL if letter.isupper() else 1.0 for letter in text)


def _levels(moments: Sequence[Moment], place: Callable[[float], float]) -> list[int]:
    """A level for each label on which it overlaps no other.

    The last moment has the lowest flag, so that no flagpole crosses an earlier one's words.
    """
    taken: list[list[tuple[float, float]]] = []
    levels = [0] * len(moments)
    for position in sorted(range(len(moments)), key=lambda k: -moments[k].at):
        moment = moments[position]
        width = _width(moment.label) + 2 * CHARACTER + 14
        start = place(moment.at)
        start = start - width if start + width > WIDTH else start
        level = 0
        while level < len(taken) and any(
            start < stop and begin < start + width for begin, stop in taken[level]
        ):
            level += 1
        if level == len(taken):
            taken.append([])
        taken[level].append((start, start + width))
        levels[position] = level
    return levels
