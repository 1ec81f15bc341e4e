"""The natural logarithm from operations that IEEE 754 rounds exactly: the same bits everywhere.

No C library's ``log`` is bound to round correctly, so two machines may differ in the last bit. Here
x = m 2**e with m in [sqrt(1/2), sqrt(2)), and with s = (m - 1) / (m + 1)

    ln x = e ln 2 + 2 s (1 + s**2/3 + s**4/5 + ...)

of which the terms up to s**22/23 are enough: |s| <= 0.1716, so the next one is below 2**-60 of the
sum. ln 2 is taken in two parts, the first with so few bits that e times it is exact. The error is
at most two units in the last place, tested against exact arithmetic.

Source: the series of artanh, DLMF 4.6.4 (https://dlmf.nist.gov/4.6.E4).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HALF_ROOT = 0.7071067811865476
_LN2_HIGH = 0.6931471803691238  # ln 2 with its last 21 bits zero
_LN2_LOW = 1.9082149292705877e-10  # ln 2 - _LN2_HIGH
_TERMS = tuple(1.0 / k for k in range(23, 1, -2))


def log(x: float) -> float:
    """Ln x of one positive, finite number.

    >>> log(1.0), log(2.0) == math.log(2.0)
    (0.0, True)
    """
    m, e = math.frexp(x)
    if m < _HALF_ROOT:
        m, e = m * 2.0, e - 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = 0.0
    for term in _TERMS:
        total = (total + term) * z
    two = 2.0 * s
    return e * _LN2_HIGH + ((e * _LN2_LOW + two * total) + two)


def log_array(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) ln x: the same operations in the same order as :func:`log`; NaN stays NaN."""
    m, exponent = np.frexp(x)
    small = m < _HALF_ROOT
    m = np.where(small, m * 2.0, m)
    e: NDArray[np.float64] = (exponent - small).astype(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total: Any = np.zeros_like(s)
    for term in _TERMS:
        total = (total + term) * z
    two = 2.0 * s
    found: NDArray[np.float64] = e * _LN2_HIGH + ((e * _LN2_LOW + two * total) + two)
    return found
