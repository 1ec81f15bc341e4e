"""Columns as they stand, before any schema: what their values look like, counted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from baluarte.core.event_value import ValueRefusedError, time_us
from baluarte.core.raw_column import RawColumn

MAX_EXAMPLES = 10  #: most frequent values that a profile keeps

Physical = Literal["float", "integer", "boolean", "text", "time"]

# A leading zero means that the digits are a code: 0042 is no number.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,300})", re.ASCII)
_FLOAT = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def profile_values(name: str, counts: Mapping[Any, int], *, n: int) -> RawColumn:
    """A column of typed values.

    Args:
        counts: how often each value occurs; missing ones are left out.
        n: rows looked at, missing ones included.
    """
    physical = _physical(counts)
    n_missing = n - sum(counts.values())
    ranked = sorted(counts, key=lambda value: (-counts[value], str(value)))
    measures: list[float] = []
    if physical in ("float", "integer"):
        measures = [_bounded(value) for value in counts]
    elif physical == "time":
        measures = [float(_microseconds(value)) for value in counts]
    return RawColumn(
        name=name,
        physical=physical,
        n=n,
        n_missing=n_missing,
        n_distinct=len(counts),
        examples=tuple(_text(value) for value in ranked[:MAX_EXAMPLES]),
        counts=tuple(counts[value] for value in ranked[:MAX_EXAMPLES]),
        low=min(measures, default=None),
        high=max(measures, default=None),
    )


def typed_cells(counts: Mapping[str, int]) -> dict[Any, int]:
    """Cells of a text file as the values that all of them can be: numbers, truths, else text."""
    cells = {cell.strip() for cell in counts} - {""}
    parse: Callable[[str], Any] = str
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        parse = int
    elif all(_FLOAT.fullmatch(cell) for cell in cells):
        parse = float
    elif {cell.lower() for cell in cells} <= {"true", "false"}:
        parse = _truth
    typed: dict[Any, int] = {}
    for cell, count in counts.items():
        if cell if parse is str else cell.strip():
            value = parse(cell)
            typed[value] = typed.get(value, 0) + count
    return typed


def _bounded(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _truth(cell: str) -> bool:
    return cell.strip().lower() == "true"


def _physical(values: Iterable[Any]) -> Physical:
    kinds = set(map(type, values))
    if kinds <= {bool} and kinds:
        return "boolean"
    if kinds <= {int} and kinds:
        return "integer"
    if kinds <= {int, float} and kinds:
        return "float"
    if all(issubclass(kind, date | str) for kind in kinds) and kinds and _all_times(values):
        return "time"
    return "text"


def _all_times(values: Iterable[Any]) -> bool:
    try:
        for value in values:
            _microseconds(value)
    except ValueRefusedError:
        return False
    return True


def _microseconds(value: Any) -> int:
    return time_us(value if isinstance(value, str) else _text(value))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)
