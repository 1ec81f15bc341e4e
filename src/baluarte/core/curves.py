"""The curves of a ranking, exact under ties: ROC and precision-recall, and what is read from them.

Scores may be integers or floats; only their order counts. Rows of equal score are taken together,
as a threshold would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator  # noqa: TID251 - the type of a parameter
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Attacks and non-attacks at or above each distinct score, from the highest score down."""

    attacks: NDArray[np.float64]  #: (g,) cumulative counts; the last is all attacks
    others: NDArray[np.float64]  #: (g,) likewise


def curve(scores: NDArray[Any], labels: NDArray[Any]) -> Curve:
    """The curve of (n,) scores and labels; 1 is an attack."""
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    ends = np.flatnonzero(np.concatenate((ordered[1:] != ordered[:-1], [True])))
    hits = np.cumsum(labels[order] == 1, dtype=np.float64)[ends]
    return Curve(attacks=hits, others=ends + 1 - hits)


def roc_auc(c: Curve) -> float:
    """Probability that an attack scores above a non-attack, ties counted half.

    >>> roc_auc(curve(np.array([3, 2, 2, 1]), np.array([1, 1, 0, 0])))
    0.875
    """
    fpr, tpr = _rates(c)
    return float(np.trapezoid(tpr, fpr))


def average_precision(c: Curve) -> float:
    """Σ (R_i - R_{i-1}) P_i over distinct scores, without interpolation.

    >>> round(average_precision(curve(np.array([3, 2, 1]), np.array([1, 0, 1]))), 4)
    0.8333
    """
    gained = np.diff(c.attacks, prepend=0.0)
    flagged = c.attacks + c.others
    precision = np.divide(c.attacks, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    return float((gained * precision).sum() / c.attacks[-1])


def recall_at(c: Curve, max_fpr: float) -> float:
    """The highest recall at a threshold whose false-positive rate on these rows is within reach."""
    fpr, tpr = _rates(c)
    return float(tpr[np.flatnonzero(fpr <= max_fpr)[-1]])


def partial_auc(c: Curve, max_fpr: float) -> float:
    """Area under the ROC curve up to ``max_fpr``, as a share of the most it could be."""
    fpr, tpr = _rates(c)
    inside = fpr <= max_fpr
    last = float(np.interp(max_fpr, fpr, tpr))
    x, y = np.append(fpr[inside], max_fpr), np.append(tpr[inside], last)
    return float(np.trapezoid(y, x) / max_fpr)


def _rates(c: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fpr = np.concatenate(([0.0], c.others)) / c.others[-1]
    tpr = np.concatenate(([0.0], c.attacks)) / c.attacks[-1]
    return fpr, tpr


def coarse(c: Curve, groups: int) -> Curve:
    """The same curve on at most ``groups`` points, half of them in the high scores."""
    g = len(c.attacks)
    if g <= groups:
        return c
    even = np.linspace(0, g - 1, groups // 2)
    high = np.geomspace(1, g, groups // 2) - 1
    kept = np.unique(np.concatenate((even, high)).astype(np.int64))
    return Curve(attacks=c.attacks[kept], others=c.others[kept])


def resampled(c: Curve, rng: Generator) -> Curve:
    """A stratified bootstrap draw: as many attacks and non-attacks, drawn again from each."""
    return Curve(attacks=_redrawn(c.attacks, rng), others=_redrawn(c.others, rng))


def _redrawn(cumulative: NDArray[np.float64], rng: Generator) -> NDArray[np.float64]:
    counts = np.diff(cumulative, prepend=0.0)
    total = int(cumulative[-1])
    return np.cumsum(rng.multinomial(total, counts / total), dtype=np.float64)
