"""Events in columns: the one canonical form that files, requests and streams are brought to.

Canonical values of a field, by its type:

========  =======================================================================================
number    float64; NaN is missing; infinities and abs(x) over float32's maximum are refused unless
          the field allows them
integer   float64, correctly rounded; a fraction is refused; NaN is missing
boolean   float64 0.0 or 1.0; NaN is missing
time      float64 microseconds since 1970-01-01T00:00:00Z, whole; NaN is missing
category  str; whole numbers in decimal digits, other numbers by ``repr``, true and false in lower
          case; None is missing
text, ip  str; None is missing
========  =======================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Column = NDArray[Any]  #: (n,) float64, or (n,) object of str and None: see the module's table


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
