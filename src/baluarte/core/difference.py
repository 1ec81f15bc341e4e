"""What may come out otherwise when a decision is computed again, and how it is named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

#: in the order in which a decision is computed: the first that differs is the one that is named
Component = Literal[
    "record", "bundle", "version", "event", "id", "time", "features", "score", "points", "band",
    "outcome", "threshold", "reasons",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first thing that came out otherwise, in the order in which a decision is computed."""

    component: Component
    field: str | None  #: of an event's value, a feature, a reason or a time; ``base`` of reasons
    recorded: str
    computed: str


def differs(
    component: Component, field: str | None, recorded: object, computed: object
) -> Difference:
    """A difference with both values as text."""
    return Difference(
        component=component, field=field, recorded=str(recorded), computed=str(computed)
    )


def same_float(said: float | None, computed: float) -> bool:
    """Equal to the bit, where every missing value is the same.

    >>> same_float(None, math.nan), same_float(0.0, -0.0)
    (True, False)
    """
    if said is None or said != said:  # noqa: PLR0124 - NaN is the one value unlike itself
        return math.isnan(computed)
    return said == computed and math.copysign(1.0, said) == math.copysign(1.0, computed)


def unlike_rows(
    said: Sequence[Sequence[float | None]], computed: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(n,) which recorded rows are not the computed (n, d) ones, to the bit.

    >>> unlike_rows([[1.0, None], [0.0, 2.0]], np.array([[1.0, math.nan], [-0.0, 2.0]]))
    array([False,  True])
    """
    d = computed.shape[1]
    unlike = np.array([len(row) != d for row in said], dtype=np.bool_)
    rows = np.flatnonzero(~unlike)
    if d and len(rows):
        recorded = np.array([said[i] for i in rows.tolist()], dtype=np.float64)  # null is NaN
        found = computed[rows]
        same = recorded.view(np.int64) == found.view(np.int64)
        same |= np.isnan(recorded) & np.isnan(found)
        unlike[rows] = ~same.all(axis=1)
    return unlike
