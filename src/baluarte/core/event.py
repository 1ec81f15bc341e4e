"""Events in columns: the one canonical form that files, requests and streams are brought to.

Canonical values of a field, by its type:

========  =======================================================================================
number    float64; NaN is missing; infinities and abs(x) over float32's maximum are refused unless
          the field allows them; negative zero is zero
integer   float64, correctly rounded; a fraction is refused; NaN is missing
boolean   float64 0.0 or 1.0; NaN is missing
time      float64 microseconds since 1970-01-01T00:00:00Z, whole; NaN is missing
category  str; whole numbers in decimal digits, other numbers by ``repr``, true and false in lower
          case; None is missing
text      str; None is missing
ip        str: IPv4 or RFC 5952 IPv6, an IPv4-mapped address as the IPv4 one; None is missing
========  =======================================================================================

Empty text is missing, whatever the type, because a CSV file can't tell the two apart.

A record (:func:`event_values`) holds the same values as JSON does: whole numbers up to 2**53 as
integers, other numbers as floats, infinities as the texts ``Infinity`` and ``-Infinity``; missing
values are left out.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from baluarte.core.schema import Schema

Column = NDArray[Any]  #: (n,) float64, or (n,) object of str and None: see the module's table
Value = float | int | str  #: one value of a record
Values = dict[str, float | int | str | None]  #: one event's record by field name

MAX_EXACT_INTEGER = 2**53  #: the last of the integers that float64 and JSON readers all keep


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """``n`` events as canonical columns by field name; fields that never occur may be absent."""

    n: int
    columns: Mapping[str, Column]

    def take(self, rows: NDArray[Any]) -> Events:
        """The events at these row numbers or where this mask is true, in that order."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        n = int(rows.sum()) if rows.dtype == bool else len(rows)
        return Events(n=n, columns=columns)

    def slice(self, start: int, stop: int) -> Events:
        """The events in [start, stop), as views."""
        columns = {name: column[start:stop] for name, column in self.columns.items()}
        return Events(n=max(min(stop, self.n) - start, 0), columns=columns)


def concat(batches: Sequence[Events]) -> Events:
    """All batches as one; a column that some batches lack is missing in their rows."""
    if len(batches) == 1:
        return batches[0]
    names = {name: column for batch in batches for name, column in batch.columns.items()}
    columns = {
        name: np.concatenate(
            [
                batch.columns[name] if name in batch.columns else missing(batch.n, like.dtype)
                for batch in batches
            ]
        )
        for name, like in names.items()
    }
    return Events(n=sum(batch.n for batch in batches), columns=columns)


def missing(n: int, dtype: np.dtype[Any]) -> Column:
    """(n,) missing values: NaN for float64, None for object."""
    return np.full(n, math.nan if dtype.kind == "f" else None, dtype=dtype)


def record_number(value: float) -> Value | None:
    """A canonical float64 as a record holds it; None for NaN."""
    if value != value:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return None
    if abs(value) <= MAX_EXACT_INTEGER:
        return int(value) if value.is_integer() else value
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def records(events: Events) -> list[Values]:
    """Every event's record, in order."""
    out: list[Values] = [{} for _ in range(events.n)]
    for name, column in events.columns.items():
        values = column.tolist()
        if column.dtype != object:
            values = map(record_number, values)
        for record, value in zip(out, values, strict=True):
            if value is not None:
                record[name] = value
    return out


def event_values(events: Events, i: int) -> Values:
    """The record of event ``i``."""
    return records(events.slice(i, i + 1))[0]


def event_digest(values: Mapping[str, Value | None]) -> str:
    """``sha256:…`` over the record's JSON with sorted keys."""
    return "sha256:" + hashlib.sha256(msgspec.json.encode(values, order="sorted")).hexdigest()


def event_id(
    schema: Schema, values: Mapping[str, Value | None], *, digest: str, ordinal: int
) -> str:
    """The event's own id, or a stated derived one.

    Args:
        digest: of the event, ``sha256:…``.
        ordinal: of the event in its request or file.
    """
    field = schema.by_role("id")
    own = values.get(field.name) if field else None
    return str(own) if own is not None else f"{digest.removeprefix('sha256:')[:32]}-{ordinal}"


def event_time(schema: Schema, values: Mapping[str, Value | None], *, arrival_us: int) -> int:
    """The event's own time in microseconds of UTC, or its arrival."""
    field = schema.by_role("time")
    own = values.get(field.name) if field else None
    return int(own) if own is not None else arrival_us
