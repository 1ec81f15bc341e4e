"""Whether one set of scores keeps the promise better than another by more than chance."""

from __future__ import annotations

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

    In each of the figures that the promise's value is made of: one that is mostly chance must not
    hide what another one tells for certain.

    Args:
        best: (n,) scores.
        other: (n,) scores of the same rows.
        errors: standard errors of the difference.

    Source: Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3 (the rule);
    Shao & Wu, Annals of Statistics 17(3), 1989 (the delete-group jackknife).
    """
    short = _differences(contract, rows, best, other)
    if np.all(short <= 0.0):
        return True
    group = np.empty(len(rows.labels), dtype=np.int64)
    for label in (0, 1):  # shared out apart, so that every group has both
        mask = rows.labels == label
        group[mask] = np.arange(int(mask.sum())) % _GROUPS
    without = np.array(
        [
            _differences(contract, rows.take(group != g), best[group != g], other[group != g])
            for g in range(_GROUPS)
        ]
    )
    spread = np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    return bool(np.all(short <= errors * np.sqrt((_GROUPS - 1) / _GROUPS * spread)))


def _differences(
    contract: Contract,
    rows: TuningRows,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(figures,) how far each figure of ``b`` falls short of that of ``a``."""
    own, other = (promise_value(contract, rows, scores)[1] for scores in (a, b))
    return np.array([own[name] - other[name] for name in own])
