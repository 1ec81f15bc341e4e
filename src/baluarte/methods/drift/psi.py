"""Population stability index: how differently two samples fill the baseline's bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from baluarte.core.drift import ViewValue
from baluarte.ports import Matrix

BINS = 10  #: of numbers, at the baseline's deciles
HALF = 0.5  #: added to every count, so that an empty bin stays finite


class PopulationStability:
    """The index of each column: deciles of numbers, codes of categories, missing as a bin.

    It has no p-value, and the usual .1 and .25 are habit, not a promise.

    Source: Siddiqi, Credit Risk Scorecards, 2006; Σ (q - p) ln(q / p), the symmetric divergence of
    Jeffreys.
    """

    name: ClassVar[str] = "psi"
    kind: ClassVar[Literal["view"]] = "view"

    def values(
        self,
        baseline: Matrix,
        current: Matrix,
        *,
        names: Sequence[str],
        categorical: Sequence[bool],
    ) -> list[ViewValue]:
        """One value a column; 0 is no difference."""
        values = []
        for j, (name, coded) in enumerate(zip(names, categorical, strict=True)):
            a, b = baseline[:, j], current[:, j]
            edges = _codes(a, b) if coded else _deciles(a)
            p, q = _shares(a, edges), _shares(b, edges)
            index = float(((q - p) * np.log(q / p)).sum())
            values.append(ViewValue(channel=name, value=index))
        return values


def _deciles(x: NDArray[np.float64]) -> NDArray[np.float64]:
    present = x[~np.isnan(x)]
    if len(present) == 0:
        return np.empty(0)
    return np.unique(np.quantile(present, np.arange(1, BINS) / BINS))


def _codes(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    codes = np.unique(np.concatenate((a, b)))
    return codes[~np.isnan(codes)]


def _shares(x: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of (n,) values in each bin between edges, above the last, and missing."""
    missing = np.isnan(x)
    place = np.where(missing, len(edges) + 1, edges.searchsorted(x, side="left"))
    counts = np.bincount(place, minlength=len(edges) + 2) + HALF
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares
