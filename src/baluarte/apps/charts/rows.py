"""Labelled rows: amounts as bars, figures with their bounds against their limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from baluarte.apps.charts.frame import (
    CHARACTER,
    ENGLISH,
    TOP,
    WIDTH,
    amount_format,
    canvas,
    legend,
    short,
)
from baluarte.apps.charts.values import SYMBOL, Axis, Bar, Interval
from baluarte.apps.html import Html, tag
from baluarte.apps.numerals import Numerals

_BOLD = 6.9  #: width of a letter of a label in bold, on the average


def bars(
    items: Sequence[Bar],
    *,
    x: Axis,
    names: tuple[str, str] | None = None,
    numerals: Numerals = ENGLISH,
) -> Html:
    """Labelled amounts, one below another; ``names`` tells the value from the other one."""
    row = 34.0 if names else 24.0
    top = TOP if names else 8.0
    label_width = min(max((len(item.label) for item in items), default=0) * CHARACTER + 14, 260.0)
    most = max((v for item in items for v in (item.value, item.other or 0.0)), default=1.0)
    most = x.high if x.high is not None else most or 1.0
    scale = (WIDTH - label_width - 84) / most
    parts: list[Html] = []
    for position, item in enumerate(items):
        y = top + position * row
        text = short(item.label, 36)
        amounts = [(item.value, "dark"), (item.other, "light")][: 2 if names else 1]
        thick = 12.0 if len(amounts) == 1 else 10.0
        parts.append(
            tag("text", text, x=label_width - 8, y=y + row / 2, class_="label end", dy=".32em")
        )
        for below, (amount, shade) in enumerate(amounts):
            if amount is None:
                continue
            middle = y + row / 2 + (below - (len(amounts) - 1) / 2) * (thick + 2)
            width = max(amount * scale, 0.0)
            parts += [
                tag(
                    "rect",
                    x=label_width,
                    y=middle - thick / 2,
                    width=width,
                    height=thick,
                    class_=f"bar {shade} {item.tone}",
                ),
                tag(
                    "text",
                    amount_format(x, numerals)(amount),
                    x=label_width + width + 6,
                    y=middle,
                    dy=".32em",
                    class_="label",
                ),
            ]
    if names:
        parts.append(legend([(names[0], "dark"), (names[1], "light")], area=True))
    height = top + len(items) * row + 26
    parts.append(tag("text", x.label, x=label_width, y=height - 6, class_="axis-label"))
    return canvas(height, x.label, parts)


def intervals(rows: Sequence[Interval], *, numerals: Numerals = ENGLISH) -> Html:
    """Each figure as a dot with its interval against its limit, each row on its own scale."""
    row, verdict_width = 62.0, 150.0
    longest = max((len(item.label) for item in rows), default=0)
    label_width = min(max(190.0, _BOLD * longest + 14), 280.0)
    parts: list[Html] = []
    for position, item in enumerate(rows):
        y = 26 + position * row
        known = [v for v in (item.value, item.low, item.high, item.limit) if v is not None]
        room = (max(known) - min(known)) * 0.18 or abs(item.limit) * 0.1 or 1.0
        low, high = min(known) - room, max(known) + room
        left, right = label_width, WIDTH - verdict_width

        def at(
            value: float, low: float = low, high: float = high, a: float = left, b: float = right
        ) -> float:
            return a + (value - low) / (high - low) * (b - a)

        parts += _interval_row(item, y, at, left, right, numerals)
    return canvas(8 + len(rows) * row, ", ".join(item.label for item in rows), parts)


def _interval_row(  # noqa: PLR0917 - the parts of one row's geometry
    item: Interval,
    y: float,
    at: Callable[[float], float],
    left: float,
    right: float,
    numerals: Numerals,
) -> list[Html]:
    def said(value: float) -> str:
        if item.percent:
            return numerals.percent(value)
        return f"{numerals.number(value, 3)} {item.unit}".strip()

    kept_from, kept_to = (at(item.limit), right) if item.keep == "above" else (left, at(item.limit))
    sign = "≥" if item.keep == "above" else "≤"
    ends = [at(v) for v in (item.value, item.low, item.high) if v is not None]
    whisker = (min(ends), max(ends))
    bound = _bounds(item, said)
    values = f"{said(item.value)} ({bound})" if bound else said(item.value)
    return [
        tag("rect", x=kept_from, y=y - 9, width=kept_to - kept_from, height=18, class_="allowed"),
        tag("line", x1=left, x2=right, y1=y, y2=y, class_="rule"),
        tag("line", x1=at(item.limit), x2=at(item.limit), y1=y - 13, y2=y + 13, class_="limit"),
        tag(
            "text",
            f"{sign} {said(item.limit)}",
            x=at(item.limit),
            y=y + 26,
            class_="label faint middle",
        ),
        tag("line", x1=whisker[0], x2=whisker[1], y1=y, y2=y, class_=f"whisker {item.tone}"),
        tag("circle", cx=at(item.value), cy=y, r=5, class_=f"dot {item.tone}"),
        tag("text", item.label, x=0, y=y - 3, class_="label strong"),
        tag("text", values, x=0, y=y + 14, class_="label faint"),
        tag(
            "text",
            f"{SYMBOL[item.tone]} {item.verdict}",
            x=right + 14,
            y=y,
            dy=".32em",
            class_=f"label strong {item.tone}",
        ),
    ]


def _bounds(item: Interval, said: Callable[[float], str]) -> str:
    if item.low is not None and item.high is not None:
        return f"{said(item.low)} – {said(item.high)}"
    if item.low is not None:
        return f"≥ {said(item.low)}"
    return f"≤ {said(item.high)}" if item.high is not None else ""
