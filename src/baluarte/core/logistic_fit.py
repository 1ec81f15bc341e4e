"""Logistic regression with coefficients that never turn a column round: few columns, many rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEPS = 100
_RIDGE = 1e-9  #: of the mean curvature: columns that say the same share what they say
_CONVERGED = 1e-10


def nonnegative_logistic(
    Z: NDArray[np.float64], labels: NDArray[np.int8], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Intercept and (m,) coefficients, none below zero, of the log-odds of an attack.

    Targets are ``(n + 1) / (n + 2)`` for attacks and ``1 / (n + 2)`` for the rest, of their own
    numbers of rows, so that rows told apart perfectly have finite odds. A column whose best
    coefficient is negative is left out, the most negative first. Sums have a stated order, so
    threads change nothing.

    Args:
        Z: (n, m) finite.
        labels: (n,) 1 attack, 0 not; both are there.
        weights: (n,) at least 0.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999, section 2.2, with
    Newton's steps after Lin, Lin & Weng, Machine Learning 68, 2007.
    """
    attack = labels == 1
    n_attacks, n_others = int(attack.sum()), int((~attack).sum())
    targets = np.where(attack, (n_attacks + 1.0) / (n_attacks + 2.0), 1.0 / (n_others + 2.0))
    center, spread = Z.mean(axis=0), Z.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    S = (Z - center) / spread
    kept = [j for j in range(Z.shape[1]) if S[:, j].any()]
    found = _newton(S[:, kept], targets, weights)
    while kept and found[1:].min() < 0.0:
        kept.pop(int(np.argmin(found[1:])))
        found = _newton(S[:, kept], targets, weights)
    coefficients = np.zeros(Z.shape[1])
    coefficients[kept] = found[1:] / spread[kept]
    return float(found[0] - np.sum(coefficients * center)), coefficients


def _newton(
    S: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(1 + m,) the minimum of the cross-entropy: intercept first."""
    columns = [np.ones(len(S)), *S.T]
    beta = np.zeros(len(columns))
    share = float(np.sum(weights * targets) / np.sum(weights))
    beta[0] = np.log(share / (1.0 - share))

    def odds(at: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.full(len(S), at[0])
        for b, column in zip(at[1:], columns[1:], strict=True):
            total += b * column
        return total

    def loss(at: NDArray[np.float64]) -> float:
        u = odds(at)
        return float(np.sum(weights * (np.logaddexp(0.0, u) - targets * u)))

    now = loss(beta)
    for _ in range(_STEPS):
        u = np.clip(odds(beta), -700.0, 700.0)
        p = 1.0 / (1.0 + np.exp(-u))
        off, bent = weights * (p - targets), weights * p * (1.0 - p)
        gradient = np.array([np.sum(off * column) for column in columns])
        curvature = np.array([[np.sum(bent * a * b) for b in columns] for a in columns])
        curvature += np.eye(len(columns)) * (_RIDGE * float(np.trace(curvature)) + 1e-300)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-8 and loss(beta - size * step) > now:
            size /= 2.0
        if size <= 1e-8:
            break
        beta = beta - size * step
        before, now = now, loss(beta)
        if before - now <= _CONVERGED * max(1.0, abs(now)):
            break
    return beta
