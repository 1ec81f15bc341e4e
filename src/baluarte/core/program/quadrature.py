"""Gauss–Legendre quadrature on [0, 1], by + − × ÷ alone: the same bits on every machine."""

from __future__ import annotations

from functools import lru_cache

_STEPS = 8  #: Newton steps: convergence is quadratic from a start right to several digits
_PI = 3.141592653589793


@lru_cache(maxsize=1024)
def gauss_legendre(n: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes in (0, 1), ascending, and their weights, which sum to 1; exact to degree 2n − 1.

    Newton's method on the three-term recurrence of the Legendre polynomials, from the start
    cos(π(4k + 3)/(4n + 2)), k = 0 … n − 1.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 25.4.30 and 22.7.10; the
    start is the leading term of 22.16.6.
    """
    cos_step, sin_step = _cos_sin(_PI / (4 * n + 2))
    cos_two, sin_two = _turn(cos_step, sin_step, cos_step, sin_step)
    cos_four, sin_four = _turn(cos_two, sin_two, cos_two, sin_two)
    cos, sin = _turn(cos_step, sin_step, cos_two, sin_two)
    nodes: list[float] = []
    weights: list[float] = []
    for _ in range(n):
        x = cos
        for _ in range(_STEPS):
            value, before = _legendre(n, x)
            slope = n * (before - x * value) / (1.0 - x * x)
            x = x - value / slope
        _, before = _legendre(n, x)
        nodes.append((1.0 + x) / 2.0)
        weights.append((1.0 - x * x) / ((n * before) * (n * before)))
        cos, sin = _turn(cos, sin, cos_four, sin_four)
    return tuple(reversed(nodes)), tuple(reversed(weights))


def _legendre(n: int, x: float) -> tuple[float, float]:
    """P_n(x) and P_{n−1}(x), n ≥ 1."""
    before, value = 1.0, x
    for k in range(2, n + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return value, before


def _cos_sin(angle: float) -> tuple[float, float]:
    """Taylor's series of both; angle in [0, 1)."""
    cos, sin, term = 1.0, 0.0, 1.0
    for k in range(1, 20):
        term = term * angle / k
        if k % 2:
            sin += term if k % 4 == 1 else -term
        else:
            cos += term if k % 4 == 0 else -term
    return cos, sin


def _turn(cos: float, sin: float, cos_by: float, sin_by: float) -> tuple[float, float]:
    """Cosine and sine of a sum of two angles."""
    return cos * cos_by - sin * sin_by, sin * cos_by + cos * sin_by
