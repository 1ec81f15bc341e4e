"""Binomial probabilities, exact in both tails and for any size, without a statistics library."""

from __future__ import annotations

import math

import numpy as np

_CHUNK = 4096  #: most terms of a tail summed at once
_NEGLIGIBLE = 1e-18  #: share of the sum below which a decreasing term no longer counts


def _stirling_error(n: float) -> float:
    """``ln n! - ln(sqrt(2πn) (n/e)^n)``.

    Source: Loader (2000), "Fast and accurate computation of binomial probabilities", section 3.
    """
    if n < 16:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    s = 1 / (n * n)
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - s / 1188) * s) * s) * s) / n


def _deviance(x: float, mean: float) -> float:
    """``x ln(x/mean) + mean - x`` without cancellation.

    Source: Loader (2000), equation 5.2.
    """
    difference = x - mean
    if abs(difference) >= 0.1 * (x + mean):
        return x * math.log(x / mean) - difference
    v = difference / (x + mean)
    total, term, odd = difference * v, 2 * x * v, 3
    while True:
        term *= v * v
        grown = total + term / odd
        if grown == total:
            return total
        total, odd = grown, odd + 2


def log_binomial_pmf(k: int, n: int, p: float) -> float:
    """``ln P(Bin(n, p) = k)``, to about 1e-14 of the deviance for any n.

    Source: Loader (2000), the saddle-point form.
    """
    if not 0 <= k <= n:
        return -math.inf
    if p <= 0 or p >= 1:
        return 0.0 if k == (0 if p <= 0 else n) else -math.inf
    if k == 0:
        return n * math.log1p(-p)
    if k == n:
        return n * math.log(p)
    log_shape = (
        _stirling_error(n)
        - _stirling_error(k)
        - _stirling_error(n - k)
        - _deviance(k, n * p)
        - _deviance(n - k, n * (1 - p))
    )
    return log_shape + 0.5 * math.log(n / (2 * math.pi * k * (n - k)))


def _log_tail_sum(k: int, n: int, odds: float) -> float:
    """``ln Σ pmf(i)/pmf(k)`` for i from k downward, where the terms decrease.

    Args:
        odds: ``(1 - p) / p`` of a hit.
    """
    total, last, top, chunk = 1.0, 1.0, k, 64
    while top > 0 and last > _NEGLIGIBLE * total:
        i = np.arange(top, max(top - chunk, 0), -1, dtype=np.float64)
        terms = last * np.cumprod(i / (n - i + 1) * odds)
        total += float(terms.sum())
        last, top, chunk = float(terms[-1]), top - len(i), min(2 * chunk, _CHUNK)
    return math.log(total)


def _log_complement(log_p: float) -> float:
    return math.log(-math.expm1(log_p)) if log_p < 0 else -math.inf


def log_binomial_cdf(k: int, n: int, p: float) -> float:
    """``ln P(Bin(n, p) <= k)``, exact in both tails.

    >>> round(math.exp(log_binomial_cdf(0, 299, 0.01)), 6)
    0.049536
    """
    if k < 0 or (p >= 1 and k < n):
        return -math.inf
    if k >= n or p <= 0:
        return 0.0
    if k > n * p:
        return _log_complement(log_binomial_tail(k + 1, n, p))
    return min(log_binomial_pmf(k, n, p) + _log_tail_sum(k, n, (1 - p) / p), 0.0)


def log_binomial_tail(k: int, n: int, p: float) -> float:
    """``ln P(Bin(n, p) >= k)``, exact in both tails."""
    if k > n or (p <= 0 and k > 0):
        return -math.inf
    if k <= 0 or p >= 1:
        return 0.0
    if k < n * p:
        return _log_complement(log_binomial_cdf(k - 1, n, p))
    return min(log_binomial_pmf(k, n, p) + _log_tail_sum(n - k, n, p / (1 - p)), 0.0)


def binomial_cdf(k: int, n: int, p: float) -> float:
    """``P(Bin(n, p) <= k)``."""
    return math.exp(log_binomial_cdf(k, n, p))


def binomial_tail(k: int, n: int, p: float) -> float:
    """``P(Bin(n, p) >= k)``."""
    return math.exp(log_binomial_tail(k, n, p))
