"""A few numbers of a column that are the others times 10, 100 or 1,000: cents among euros.

In decimal logarithms they are a second, small hump of the same form, one, two or three to the right
(or to the left). Looked for is the lowest place between the two, and whether what lies beyond it,
moved back by the whole number, is distributed as what lies before it.

Under a heavy tail no hump shows. But where the others have decimals, cents are whole numbers, and
not round ones: those that are larger than is usual are looked at in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FACTORS = (1_000, 100, 10)
FEWEST = 20  #: numbers in another unit
LEAST, MOST = 0.001, 0.1  #: share of all that they are
BIN = 0.1  #: of a decade
VALLEY = 0.65  #: density at the lowest place, of the smaller hump's highest
CLEAR = 1.5  #: standard errors (of smoothed counts) that the hump is above it
UNLIKE = 0.15  #: distance of the distributions that chance need not explain
SHIFT = 0.1  #: how far from the whole number the medians may be apart, in decades
SPREADS = (0.5, 2.0)  #: of the interquartile ranges
MOST_COARSE = 0.6  #: share of numbers with fewer decimals than the others have
MORE = 0.1  #: share of whole, odd numbers among the large ones over that among the others
SHIFT_WHOLE, UNLIKE_WHOLE = 0.25, 0.2  #: as above, for what has a tail of the others' beside it
SAME = 0.3  #: share of them that are one and the same number
SMOOTH = np.array([0.25, 0.5, 0.25])


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitError:
    """Numbers that look like the others in another unit.

    Attributes:
        factor: what they are the others times; below 1 where they are too small.
        border: beyond it they are.
    """

    factor: float
    n: int
    of: int
    border: float
    median: float
    median_others: float
    distance: float  #: of their distribution, brought to the unit, from the others'


def unit_error(values: NDArray[np.float64]) -> UnitError | None:
    """Those of these numbers that are in another unit; None where none are to be seen.

    Args:
        values: (n,) without NaN; only numbers above 0 are looked at.
    """
    positive = values[values > 0]
    if len(positive) < 2 * FEWEST or len(positive) < len(values) / 2:
        return None
    logs = np.sort(np.log10(positive))
    for turn in (1.0, -1.0):  # too large, too small
        turned = logs if turn > 0 else -logs[::-1]
        for factor in FACTORS:
            found = _hump(turned, round(np.log10(factor)), turn)
            if found is not None:
                return found
    return _whole(np.sort(positive))


def _whole(values: NDArray[np.float64]) -> UnitError | None:
    """Numbers in a smaller unit: with no decimals, where the others have as many as it takes."""
    for places in (1, 2, 3):
        exact = np.round(values, places) == values
        coarse = np.round(values, places - 1) == values
        if exact.mean() >= 0.99 and coarse.mean() <= MOST_COARSE:
            break
    else:
        return None
    factor = 10.0**places
    large = values >= float(np.median(values)) * np.sqrt(factor)
    odd = (np.round(values) == values) & (np.mod(values, 10) != 0)
    n, n_large = int((odd & large).sum()), int(large.sum())
    usual = float(odd[~large].mean())
    if n < FEWEST or not LEAST <= n / len(values) <= MOST:
        return None
    if not usual + MORE <= n / n_large <= 1 - MORE or usual >= MORE:
        return None
    found, others = np.log10(values[odd & large]) - places, np.log10(values[~large])
    alike = abs(float(np.median(found) - np.median(others))) <= SHIFT_WHOLE
    if not alike or _distance(found, others) > UNLIKE_WHOLE + 1.36 / np.sqrt(n):
        return None
    return UnitError(
        factor=factor,
        n=n,
        of=len(values),
        border=float(values[large].min()),
        median=float(np.median(values[odd & large])),
        median_others=float(np.median(values[~large])),
        distance=_distance(found, others),
    )


def _hump(logs: NDArray[np.float64], shift: int, turn: float) -> UnitError | None:
    middle = float(np.median(logs))
    edges = np.arange(middle, middle + shift + 0.5, BIN)
    counts = np.histogram(logs, edges)[0].astype(np.float64)
    density = np.convolve(np.pad(counts, 1, mode="edge"), SMOOTH, mode="valid")
    between = slice(round(0.15 * shift / BIN), round(0.95 * shift / BIN))
    low = between.start + int(np.argmin(density[between]))
    cut = float(edges[low] + BIN / 2)
    at = int(np.searchsorted(logs, cut))
    others, beyond = logs[:at], logs[at:]
    n = len(beyond)
    if n < FEWEST or not LEAST <= n / len(logs) <= MOST:
        return None
    peak, valley = float(density[low:].max()), float(density[low])
    if valley > VALLEY * peak or peak - valley < CLEAR * np.sqrt(peak + valley):
        return None
    distance = _distance(beyond - shift, others)
    if not _is_moved(beyond - shift, others) or distance > UNLIKE + 1.36 / np.sqrt(n):
        return None
    border, median, median_others = (
        float(10 ** (turn * x)) for x in (cut, np.median(beyond), np.median(others))
    )
    return UnitError(
        factor=10.0 ** (turn * shift),
        n=n,
        of=len(logs),
        border=border,
        median=median,
        median_others=median_others,
        distance=distance,
    )


def _is_moved(back: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether a hump, moved back, lies where the others do, as wide as they, of many numbers."""
    if np.unique(back, return_counts=True)[1].max() > SAME * len(back):
        return False
    wide, usual = (float(np.subtract(*np.quantile(part, (0.75, 0.25)))) for part in (back, others))
    if not SPREADS[0] * usual <= wide <= SPREADS[1] * usual:
        return False
    return abs(float(np.median(back) - np.median(others))) <= SHIFT + _error(back)


def _error(values: NDArray[np.float64]) -> float:
    """Twice the standard error of a median, by the interquartile range of a normal distribution."""
    spread = float(np.subtract(*np.quantile(values, (0.75, 0.25)))) / 1.349
    return 2 * 1.2533 * spread / float(np.sqrt(len(values)))


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The two-sample statistic of Kolmogorov and Smirnov; both ascend."""
    points = np.concatenate([a, b])
    below = [np.searchsorted(part, points, side="right") / len(part) for part in (a, b)]
    return float(np.abs(below[0] - below[1]).max())
