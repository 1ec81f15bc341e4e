"""Contributions to a sum: bars to both sides of zero."""

from __future__ import annotations

from collections.abc import Sequence

from baluarte.apps.charts.frame import CHARACTER, ENGLISH, WIDTH, amount_format, canvas, short
from baluarte.apps.charts.values import Axis, Bar
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import Numerals

ROW, TOP = 24.0, 8.0
MOST_CHARACTERS = 34  #: of a label


def contributions(items: Sequence[Bar], *, x: Axis, numerals: Numerals = ENGLISH) -> Html:
    """Labelled amounts, one below another: to the right what adds, to the left what takes away.

    The value of each stands on the far side of its bar; what takes away is the lighter shade.
    """
    longest = max((len(short(item.label, MOST_CHARACTERS)) for item in items), default=0)
    left = longest * CHARACTER + 14
    said = amount_format(x, numerals)
    room = max((len(said(item.value)) for item in items), default=0) * CHARACTER + 14
    low = min((item.value for item in items), default=0.0)
    high = max((item.value for item in items), default=0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    start = left + (room if low < 0 else 0.0)
    long, span = WIDTH - start - (room if high > 0 else 0.0), (high - low) or 1.0
    zero = start - low / span * long
    bottom = TOP + len(items) * ROW
    parts: list[Html] = []
    for position, item in enumerate(items):
        middle = TOP + position * ROW + ROW / 2
        reach = abs(item.value) / span * long
        adds = item.value >= 0
        end = zero + reach if adds else zero - reach
        parts += [
            tag(
                "text",
                short(item.label, MOST_CHARACTERS),
                x=left - 8,
                y=middle,
                dy=".32em",
                class_="label end",
            ),
            tag(
                "rect",
                x=zero if adds else end,
                y=middle - 6,
                width=reach,
                height=12,
                class_=f"bar {'dark' if adds else 'light'} {item.tone}",
            ),
            tag(
                "text",
                said(item.value),
                x=end + 6 if adds else end - 6,
                y=middle,
                dy=".32em",
                class_="label" if adds else "label end",
            ),
        ]
    parts += [
        tag("line", x1=zero, x2=zero, y1=TOP - 4, y2=bottom + 2, class_="base"),
        tag("text", x.label, x=zero, y=bottom + 20, class_="axis-label middle"),
    ]
    return canvas(bottom + 26, x.label, parts)
