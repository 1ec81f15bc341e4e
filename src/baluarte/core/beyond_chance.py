"""Whether one set of scores keeps the promise better than another by more than chance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.promise_value import TuningRows, promise_value

_GROUPS = 12


def within_errors(
    contract: Contract,
    rows: TuningRows,
    best: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    errors: float,
) -> bool:
    """Whether ``other`` falls short of ``best`` by at most so many standard errors.

    Args:
        best: (n,) scores.
        other: (n,) scores of the same rows.
        errors: standard errors of the difference.

    Source: Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3 (the rule);
    Shao & Wu, Annals of Statistics 17(3), 1989 (the delete-group jackknife).
    """
    short = _difference(contract, rows, best, other)
    if short <= 0.0:
        return True
    group = np.arange(len(rows.labels)) % _GROUPS
    # Attacks and the rest are shared out apart, so that every group has both.
    for label in (0, 1):
        mask = rows.labels == label
        group[mask] = np.arange(int(mask.sum())) % _GROUPS
    without = np.array(
        [
            _difference(contract, rows.take(group != g), best[group != g], other[group != g])
            for g in range(_GROUPS)
        ]
    )
    spread = float(np.sum((without - without.mean()) ** 2))
    return short <= errors * math.sqrt((_GROUPS - 1) / _GROUPS * spread)


def _difference(
    contract: Contract,
    rows: TuningRows,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
) -> float:
    return promise_value(contract, rows, a)[0] - promise_value(contract, rows, b)[0]
