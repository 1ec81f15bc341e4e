"""Kolmogorov-Smirnov view: the largest gap between two distribution functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from baluarte.core.drift import ViewValue
from baluarte.ports import Matrix


class KolmogorovSmirnov:
    """The statistic of each numeric column and its asymptotic p-value; missing values are left out.

    The p-value is of one comparison, announced beforehand. Looked at in every window it alarms for
    nothing; the e-detector is what may be looked at.

    Source: Kolmogorov 1933; Stephens, JRSS B 32(1), 1970, for the small-sample factor.
    """

    name: ClassVar[str] = "ks"
    kind: ClassVar[Literal["view"]] = "view"

    def values(
        self,
        baseline: Matrix,
        current: Matrix,
        *,
        names: Sequence[str],
        categorical: Sequence[bool],
    ) -> list[ViewValue]:
        """One value a numeric column that has values on both sides."""
        values = []
        for j, (name, coded) in enumerate(zip(names, categorical, strict=True)):
            a = np.sort(baseline[~np.isnan(baseline[:, j]), j])
            b = np.sort(current[~np.isnan(current[:, j]), j])
            if coded or len(a) == 0 or len(b) == 0:
                continue
            at = np.concatenate((a, b))
            below_a = a.searchsorted(at, side="right") / len(a)
            below_b = b.searchsorted(at, side="right") / len(b)
            gap = float(np.abs(below_a - below_b).max())
            p = p_value(gap, len(a), len(b))
            values.append(ViewValue(channel=name, value=gap, p=p))
        return values


def p_value(gap: float, n: int, m: int) -> float:
    """Probability of a gap at least as large between two samples of one continuous distribution.

    >>> round(p_value(0.2, 100, 100), 3)
    0.031
    """
    root = math.sqrt(n * m / (n + m))
    lam = (root + 0.12 + 0.11 / root) * gap
    if lam < 0.2:  # the series converges slowly there, to 1 within 1e-12
        return 1.0
    total = sum((1 if k % 2 else -1) * math.exp(-2 * k * k * lam * lam) for k in range(1, 101))
    return min(max(2 * total, 0.0), 1.0)
