"""Calibration by a curve of two or three numbers, told as the same monotone table as isotonic.

Where calibration rows are few, a curve with a form is steadier than steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.core.calibration import Knots, table
from baluarte.core.logistic_fit import nonnegative_logistic

_POINTS = 128  #: of the curve, evenly over the scores' quantiles


def platt(scores: NDArray[np.int64], labels: NDArray[np.int8]) -> Knots:
    """The log-odds are ``a * score + b`` with a ≥ 0, of greatest likelihood.

    Args:
        scores: (n,) n at least 1.
        labels: (n,) 1 attack, 0 not.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    at = _grid(scores)
    return _told(at, _sigmoid(scores, labels, at))


def beta(scores: NDArray[np.int64], labels: NDArray[np.int8]) -> Knots:
    """The log-odds are ``a * ln s - b * ln(1 - s) + c`` with a, b ≥ 0, of greatest likelihood.

    s is the probability by :func:`platt`, since a score has any scale: a and b bend its two ends
    apart, and a = b = 1 is the curve that it was.

    Args:
        scores: (n,) n at least 1.
        labels: (n,) 1 attack, 0 not.

    Source: Kull, Silva Filho & Flach, "Beta calibration", AISTATS 2017.
    """
    at = _grid(scores)
    if len(np.unique(labels)) < 2:
        return platt(scores, labels)
    own = _ends(_sigmoid(scores, labels, scores.astype(np.float64)))
    c, bends = nonnegative_logistic(own, labels, np.ones(len(labels)))
    ends = _ends(_sigmoid(scores, labels, at))
    return _told(at, c + bends[0] * ends[:, 0] + bends[1] * ends[:, 1])


def _sigmoid(
    scores: NDArray[np.int64], labels: NDArray[np.int8], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(k,) log-odds at ``at``; those of half a hit more where rows are of one class."""
    hits, n = int((labels == 1).sum()), len(labels)
    if hits in (0, n):
        return np.full(len(at), np.log((hits + 0.5) / (n - hits + 0.5)))
    Z = scores.astype(np.float64)[:, None]
    b, a = nonnegative_logistic(Z, labels, np.ones(n))
    return np.asarray(a[0] * at + b, dtype=np.float64)


def _ends(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 2) ``ln s`` and ``-ln(1 - s)``."""
    return np.column_stack([-np.logaddexp(0.0, -log_odds), np.logaddexp(0.0, log_odds)])


def _grid(scores: NDArray[np.int64]) -> NDArray[np.float64]:
    ends = np.linspace(float(scores.min()), float(scores.max()), _POINTS // 2)
    shares = np.quantile(scores.astype(np.float64), np.linspace(0, 1, _POINTS // 2))
    return np.unique(np.rint(np.concatenate([ends, shares])))


def _told(at: NDArray[np.float64], log_odds: NDArray[np.float64]) -> Knots:
    return table(at, log_odds, int(at[0]), int(at[-1]))
