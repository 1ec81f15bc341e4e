"""What kernel machines and networks see of the columns: numbers of like size, without a hole.

A number is seen standardised, and by ramps: each runs from 0 to 1 between two neighbouring
quantiles, so that together they say the number's rank, whatever its tail. A category is seen by a
flag for each of its frequent codes; what was missing in the fit rows has a flag of its own.

Source: Gorishniy, Rubachev & Babenko, NeurIPS 2022 (piecewise linear encoding).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.core.program.model import Inputs
from baluarte.core.program.vector_dense import prepared
from baluarte.ports import Matrix

_REACH = 4.0  #: standard deviations beyond which a number is clipped
_TAIL = 0.001  #: share of the rows that is clipped on each side of a number
_MAX_FLAGS = 32  #: codes of a column with a flag of their own

Number = tuple[int, float, float, float, float, float]  #: column, center, scale, low, high, missing


def inputs_of(X: Matrix, categorical: tuple[bool, ...], *, ramps: int) -> Inputs:
    """The inputs for these fit rows; a column that says nothing gives none.

    Args:
        ramps: quantile ramps a number, 0 for none.
    """
    numbers: list[Number] = []
    flags: list[tuple[int, int]] = []
    for j, category in enumerate(categorical):
        x = X[:, j]
        if category:
            flags += [(j, code) for code in _frequent(x)]
        else:
            numbers += _numbers(j, np.sort(x[np.isfinite(x)]), ramps)
        if np.isnan(x).any() and not np.isnan(x).all():
            flags.append((j, -1))
    columns = np.array(numbers, dtype=np.float64).reshape(len(numbers), 6).T
    asked = np.array(flags, dtype=np.int32).reshape(len(flags), 2)
    return Inputs(
        column=columns[0].astype(np.int32),
        center=columns[1],
        scale=columns[2],
        low=columns[3],
        high=columns[4],
        missing=columns[5],
        flag_column=asked[:, 0].copy(),
        code=asked[:, 1].copy(),
        on=np.ones(len(flags)),
        off=np.zeros(len(flags)),
    )


def design(inputs: Inputs, X: Matrix) -> NDArray[np.float64]:
    """(n, inputs) what is seen of (n, d) rows, as the sealed program sees it.

    Where there is no input it is one column of zeros, for libraries want one.
    """
    return prepared(inputs, X) if inputs.n_inputs else np.zeros((len(X), 1))


def spread(n: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of n rows, evenly over their order: a stated sample."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def _frequent(x: NDArray[np.float64]) -> list[int]:
    """The most frequent codes, ascending."""
    codes, counts = np.unique(x[~np.isnan(x)], return_counts=True)
    kept = codes[np.argsort(-counts, kind="stable")[:_MAX_FLAGS]]
    return [int(code) for code in np.sort(kept)]


def _numbers(column: int, seen: NDArray[np.float64], ramps: int) -> list[Number]:
    """The standardised number and its ramps, from its sorted finite values."""
    if not len(seen) or seen[0] == seen[-1]:
        return []
    cut = int(_TAIL * len(seen))
    low, high = seen[cut], seen[-1 - cut]
    if low == high:  # all but the tails is one value
        low, high = seen[0], seen[-1]
    clipped = np.minimum(np.maximum(seen, low), high)
    center, scale = float(clipped.mean()), float(clipped.std())
    if not (np.isfinite(scale) and scale > 1e-9 * max(abs(low), abs(high))):
        center, scale = float(low), float(high - low)
    low, high = max(low, center - _REACH * scale), min(high, center + _REACH * scale)
    found: list[Number] = [(column, center, scale, float(low), float(high), 0.0)]
    if ramps:
        places = np.linspace(0, len(seen) - 1, ramps + 1).astype(np.int64)
        knots = np.unique(seen[places])
        found += [
            (column, start, end - start, start, end, 0.5)
            for start, end in zip(knots[:-1].tolist(), knots[1:].tolist(), strict=True)
            if end - start > 1e-12 * max(abs(start), abs(end)) and np.isfinite(end - start)
        ]
    return found
