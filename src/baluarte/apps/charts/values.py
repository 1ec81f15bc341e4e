"""What a chart shows, as values.

Colour carries meaning only (green kept, amber not enough data, red broken); series are told apart
by shade and line style, so that the charts read on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["plain", "kept", "unsure", "broken"]
Shade = Literal["light", "dark", "dotted"]

SYMBOL: dict[Tone, str] = {"plain": "", "kept": "✓", "unsure": "◐", "broken": "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis: its label with the unit, its range (None: that of the data), how it counts."""

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    percent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Values whose distribution is shown."""

    name: str
    values: Sequence[float]
    shade: Shade = "light"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line through points; with ``low`` and ``high`` the interval is shaded."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    shade: Shade = "dark"
    step: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A point with a word beside it, and an interval of its height."""

    x: float
    y: float
    label: str = ""
    low: float | None = None
    high: float | None = None
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A limit: a line across the chart at a value of one axis, with a word."""

    at: float
    label: str
    axis: Literal["x", "y"] = "x"
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A labelled amount; ``other`` is a second one to compare with."""

    label: str
    value: float
    other: float | None = None
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with its bounds against its limit; ``keep`` says on which side it should be."""

    label: str
    value: float
    low: float | None
    high: float | None
    limit: float
    keep: Literal["above", "below"]
    tone: Tone
    verdict: str  #: in words, such as "pass"
    percent: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened, at a place on the time line."""

    at: float
    label: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that held from one place on the time line to another."""

    start: float
    stop: float
    label: str
