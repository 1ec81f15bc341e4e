"""Combine: how the best of each family become one score.

A sum of margins is one program with exact reasons. A vote adds up probabilities: each family's
margin goes through its own logistic curve first, so its reasons are estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.logistic_fit import nonnegative_logistic
from baluarte.core.promise_value import TuningRows, promise_value
from baluarte.stages.blend import best_weights

Margins = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A family's probability: the logistic function of ``slope * margin + offset``."""

    slope: float
    offset: float

    def __call__(self, margin: Margins) -> Margins:
        """(n,) probabilities."""
        return np.asarray(1.0 / (1.0 + np.exp(-self.linear(margin))), dtype=np.float64)

    def linear(self, margin: Margins) -> Margins:
        """(n,) log-odds, within what exp can take."""
        return np.clip(self.slope * margin + self.offset, -700.0, 700.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a family gives to the score: ``weight`` times its margin, or its curve's value."""

    weight: float
    curve: Curve | None = None

    def __call__(self, margin: Margins) -> Margins:
        """(n,) what it gives, for (n,) margins."""
        return self.weight * (margin if self.curve is None else self.curve(margin))


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """The families that stay, by name, what is added to their sum, and its value out of fold."""

    shares: Mapping[str, Share]
    base: float
    value: float


def combine(contract: Contract, rows: TuningRows, margins: Mapping[str, Margins]) -> Combined:
    """The families' shares as the contract wants them.

    Args:
        margins: (n,) out of fold, by family in the contract's order; at least one.

    Source: Wolpert, "Stacked generalization", Neural Networks 5, 1992; Breiman, "Stacked
    regressions", Machine Learning 24, 1996, for coefficients that are not negative.
    """
    how = contract.learner.combine
    if how == "vote":
        shares = {
            name: Share(weight=1.0 / len(margins), curve=_curve(rows, margin))
            for name, margin in margins.items()
        }
        return _valued(contract, rows, margins, shares, 0.0)
    if how == "stack":
        Z = np.column_stack(list(margins.values()))
        base, weights = nonnegative_logistic(Z, rows.labels, rows.weights)
        shares = {
            name: Share(weight=weight)
            for name, weight in zip(margins, weights.tolist(), strict=True)
            if weight > 0.0
        }
        if shares:
            return _valued(contract, rows, margins, shares, base)
    weights_of, value = best_weights(contract, rows, margins, blend=contract.learner.blend)
    chosen = {name: Share(weight=weight) for name, weight in weights_of.items()}
    return Combined(shares=chosen, base=0.0, value=value)


def _curve(rows: TuningRows, margin: Margins) -> Curve:
    offset, slope = nonnegative_logistic(margin[:, None], rows.labels, rows.weights)
    return Curve(slope=float(slope[0]), offset=offset)


def _valued(
    contract: Contract,
    rows: TuningRows,
    margins: Mapping[str, Margins],
    shares: Mapping[str, Share],
    base: float,
) -> Combined:
    total = np.sum([share(margins[name]) for name, share in shares.items()], axis=0) + base
    return Combined(
        shares=shares, base=base, value=promise_value(contract, rows, np.asarray(total))[0]
    )
