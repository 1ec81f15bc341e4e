"""The exponential, logistic function and tanh from + − × ÷ alone, so that they are ours for good.

``docs/concepts/program.md`` states every operation. Results are within 1 to 2 units in the last
place of the exact values (measured in the tests).

Source: Cody & Waite, Software Manual for the Elementary Functions, 1980 (argument reduction).
"""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

LOG2_E = float.fromhex("0x1.71547652b82fep+0")  #: 1 / ln 2
LN2_HIGH = float.fromhex("0x1.62e42fefa4000p-1")  #: ln 2 to 40 bits: times k it is exact
LN2_LOW = float.fromhex("-0x1.8432a1b0e2634p-43")  #: ln 2 less LN2_HIGH
LEAST = -708.0  #: below, the exponential is 0; at it, it is still a normal number
COEFFICIENTS = tuple(1.0 / factorial(n) for n in range(13, 1, -1))  #: 1/13! … 1/2!


def _reduced(t: Values) -> tuple[Values, Values]:
    """``(2**k, p)`` with exp(t) = 2**k (1 + p), for -708 <= t <= 0."""
    k = np.rint(t * LOG2_E)
    r = (t - k * LN2_HIGH) - k * LN2_LOW
    series = np.full_like(r, COEFFICIENTS[0])
    for coefficient in COEFFICIENTS[1:]:
        series = series * r + coefficient
    return np.ldexp(1.0, k.astype(np.int32)), r + (r * r) * series


def exp(t: Values) -> Values:
    """The exponential of t <= 0; 0 below -708."""
    with np.errstate(under="ignore"):
        scale, p = _reduced(np.maximum(t, LEAST))
        return np.where(t < LEAST, 0.0, (1.0 + p) * scale)


def logistic(x: Values) -> Values:
    """1 / (1 + exp(-x))."""
    e = exp(-np.abs(x))
    with np.errstate(under="ignore"):
        return np.where(x < 0.0, e, 1.0) / (1.0 + e)


def tanh(x: Values) -> Values:
    """The hyperbolic tangent, from exp(-2|x|) - 1 = m as -m / (2 + m)."""
    with np.errstate(under="ignore"):
        t = -2.0 * np.abs(x)
        scale, p = _reduced(np.maximum(t, LEAST))
        m = (scale - 1.0) + scale * p
        size = -m / (2.0 + m)
    return np.where(x < 0.0, -size, size)
