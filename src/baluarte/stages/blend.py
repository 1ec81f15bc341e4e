"""Blend: the best of each family in one weighted sum, exact because programs add up.

Families disagree where each is unsure, and tomorrow's events are never quite yesterday's. So
weights come from a fixed grid, compared out of fold, each family in units of its own spread; and
among sums that little tells from the best, the plainest is taken: a family that doesn't show that
it helps costs time in every decision.

Where a contract names the kinds of attack, new kinds will come, and how families do on known ones
says little of those. There half of the whole is shared evenly by boosting and a forest, whatever
known kinds would choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from baluarte.core.beyond_chance import within_errors
from baluarte.core.contract import Contract
from baluarte.core.promise_value import TuningRows, promise_value

_STEPS = 4  #: weights are quarters of the whole
_ERRORS = 1.0  #: standard errors that count as nothing (ADR 13)
#: families that share what is not left to known kinds of attack (ADR 13)
_UNSEEN = frozenset(("lightgbm", "random_forest"))
Margins = NDArray[np.float64]


def best_weights(
    contract: Contract,
    rows: TuningRows,
    margins: Mapping[str, Margins],
    *,
    blend: bool,
    errors: float = _ERRORS,
) -> tuple[dict[str, float], float]:
    """Weights on the families' margins, zeros left out, and the value of the sum.

    Args:
        margins: (n,) out of fold, by family in the contract's order; at least one.
        blend: also try sums, not only single families; and keep half for unseen kinds of attack,
            where the contract names kinds and both families for that are there.
        errors: standard errors within which the plainest sum is taken instead of the best.
    """
    names = list(margins)
    spread = {name: _spread(margins[name]) for name in names}
    every = (shares for shares in product(range(_STEPS + 1), repeat=len(names)))
    grid = [
        shares for shares in every if sum(shares) == _STEPS and (blend or max(shares) == _STEPS)
    ]

    def total(shares: tuple[int, ...]) -> Margins:
        parts = [
            share / sum(shares) / spread[name] * margins[name]
            for name, share in zip(names, shares, strict=True)
            if share
        ]
        return np.asarray(np.sum(parts, axis=0), dtype=np.float64)

    values = {shares: promise_value(contract, rows, total(shares))[0] for shares in grid}
    best = max(grid, key=lambda shares: values[shares])
    for shares in sorted(grid, key=lambda shares: (-_plainness(shares), -values[shares])):
        if within_errors(contract, rows, total(best), total(shares), errors=errors):
            best = shares
            break
    if blend and _kinds_are_named(contract) and set(names) >= _UNSEEN:
        kept = _STEPS // len(_UNSEEN)
        best = tuple(
            share + kept * (name in _UNSEEN) for name, share in zip(names, best, strict=True)
        )
    whole = sum(best)
    chosen = [(name, share / whole) for name, share in zip(names, best, strict=True) if share]
    value = promise_value(contract, rows, total(best))[0]
    if len(chosen) == 1:  # alone a family keeps its own scale
        return {chosen[0][0]: 1.0}, value
    return {name: share / spread[name] for name, share in chosen}, value


def _kinds_are_named(contract: Contract) -> bool:
    return contract.label is not None and contract.label.family is not None


def _plainness(shares: tuple[int, ...]) -> int:
    return sum(share * share for share in shares)


def _spread(margins: Margins) -> float:
    spread = float(margins.std())
    return spread if spread > 0.0 else 1.0
