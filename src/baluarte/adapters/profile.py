"""Columns as they stand, before any schema: what their values look like, counted."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sized
from datetime import UTC, date, datetime
from typing import Any, Literal

from baluarte.core.event_value import ValueRefusedError, time_us
from baluarte.core.raw_column import MAX_ODD_SHARE, RawColumn

MAX_EXAMPLES = 10  #: most frequent values that a profile keeps
MIN_MEASURES = 100  #: distinct numbers from which a column is no code
MAX_ODD = 3  #: values of another kind that it keeps

Physical = Literal["float", "integer", "boolean", "text", "time", "ip"]

# A leading zero means that the digits are a code: 0042 is no number.
_INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,300})", re.ASCII)
_FLOAT = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def profile_values(name: str, counts: Mapping[Any, int], *, n: int) -> RawColumn:
    """A column of typed values.

    Args:
        counts: how often each value occurs; missing ones are left out.
        n: rows looked at, missing ones included.
    """
    n_missing = n - sum(counts.values())
    physical, odd = _physical(counts)
    counts = (
        {value: count for value, count in counts.items() if value not in odd} if odd else counts
    )
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
        n_odd=sum(odd.values()),
        odd=tuple(map(str, list(odd)[:MAX_ODD])),
    )


def typed_cells(counts: Mapping[str, int]) -> dict[Any, int]:
    """Cells of a text file as the values that all of them can be: numbers, truths, else text.

    Of numbers a few cells may be none (``MAX_ODD_SHARE``): they stay texts.
    """
    parse = _parser(counts)
    typed: dict[Any, int] = {}
    for cell, count in counts.items():
        if cell if parse is str else cell.strip():
            value = parse(cell)
            typed[value] = typed.get(value, 0) + count
    return typed


def _parser(counts: Mapping[str, int]) -> Callable[[str], Any]:
    cells = {cell: stripped for cell in counts if (stripped := cell.strip())}
    few = _few(counts[cell] for cell in cells)
    odd = _told(cells, lambda cell: _FLOAT.fullmatch(cells[cell]) is not None, counts, few)
    if odd is not None and _are_measures(cells, odd):
        whole = all(_INTEGER.fullmatch(cells[cell]) for cell in cells if cell not in odd)
        parse = int if whole else float
        return lambda cell: cell if cell in odd else parse(cell)
    if {cell.lower() for cell in cells.values()} <= {"true", "false"}:
        return _truth
    return str


def _few(counts: Iterable[int]) -> int:
    """How many values may be odd among so many."""
    return int(MAX_ODD_SHARE * sum(counts))


def _told(
    values: Iterable[Any], fits: Callable[[Any], bool], counts: Mapping[Any, int], few: int
) -> dict[Any, int] | None:
    """The few values that do not fit, counted; None where they are more."""
    odd: dict[Any, int] = {}
    for value in values:
        if not fits(value):
            odd[value] = counts[value]
            few -= counts[value]
            if few < 0:
                return None
    return odd


def _are_measures(values: Sized, odd: Sized) -> bool:
    """Whether odd values among numbers can be faults: among a few codes they are codes, too."""
    return not odd or len(values) - len(odd) >= MIN_MEASURES


def _bounded(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _truth(cell: str) -> bool:
    return cell.strip().lower() == "true"


def _physical(counts: Mapping[Any, int]) -> tuple[Physical, dict[Any, int]]:
    """What the values are, and the few that are something else."""
    kinds = set(map(type, counts))
    if kinds <= {bool} and kinds:
        return "boolean", {}
    few = _few(counts.values())
    if kinds & {int, float}:
        odd = _told(counts, lambda value: type(value) in (int, float), counts, few)
        if odd is not None and _are_measures(counts, odd):
            whole = all(type(value) is int for value in counts if value not in odd)
            return ("integer" if whole else "float"), odd
    if kinds and all(issubclass(kind, date | str) for kind in kinds):
        for physical, fits in _TEXTUAL:
            odd = _told(counts, fits, counts, few)
            if odd is not None:
                return physical, odd
    return "text", {}


def _is_time(value: Any) -> bool:
    try:
        _microseconds(value)
    except ValueRefusedError:
        return False
    return True


def _is_ip(value: Any) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return "%" not in str(value)


_TEXTUAL: tuple[tuple[Physical, Callable[[Any], bool]], ...] = (("time", _is_time), ("ip", _is_ip))


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
