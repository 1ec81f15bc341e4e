"""How well scores keep the contract's promise: what trials are compared by, higher is better.

Half is what the promise itself says (recall under the budget, and under half and twice of it, since
one point of the curve is mostly chance), half the average precision over the whole curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.event import Events

_FACTORS = (0.5, 1.0, 2.0)  #: of the budget


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningRows:
    """Labels and weights of rows that scores are compared on."""

    labels: NDArray[np.int8]  #: (n,) 1 attack, 0 not
    weights: NDArray[np.float64]  #: (n,) rows that each one stands for
    cost_missed: NDArray[np.float64]  #: (n,) of an attack that is let pass
    cost_false_alarm: NDArray[np.float64]  #: (n,) of another event that is flagged

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> TuningRows:
        """These rows."""
        return TuningRows(
            labels=self.labels[rows],
            weights=self.weights[rows],
            cost_missed=self.cost_missed[rows],
            cost_false_alarm=self.cost_false_alarm[rows],
        )


def promise_value(
    contract: Contract, rows: TuningRows, scores: NDArray[np.float64]
) -> tuple[float, dict[str, float]]:
    """The value of scores over rows of both classes, and the figures it is made of."""
    cuts = _cuts(rows, scores)
    kept, budget = under_budget(contract, cuts), contract.objective.budget.kind
    precision = average_precision(cuts)
    figures = {f"value_under_{budget}": kept, "average_precision": precision}
    return 0.5 * kept + 0.5 * precision, figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """What alerts at each distinct score and above would do, from the highest score down."""

    hits: NDArray[np.float64]  #: (k,) attacks flagged
    false: NDArray[np.float64]  #: (k,) others flagged
    saved: NDArray[np.float64]  #: (k,) cost of attacks flagged
    spent: NDArray[np.float64]  #: (k,) cost of others flagged


def _cuts(rows: TuningRows, scores: NDArray[np.float64]) -> Cuts:
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    attack = rows.labels == 1
    hit = np.where(attack, rows.weights, 0.0)[order]
    false = np.where(attack, 0.0, rows.weights)[order]
    return Cuts(
        hits=np.cumsum(hit)[ends],
        false=np.cumsum(false)[ends],
        saved=np.cumsum(hit * rows.cost_missed[order])[ends],
        spent=np.cumsum(false * rows.cost_false_alarm[order])[ends],
    )


def under_budget(contract: Contract, cuts: Cuts) -> float:
    """Recall about the contract's budget; under ``max_cost`` the share of the cost that is saved.

    Budgets are read from the rows as they are: certifying them is the threshold's work.
    """
    objective = contract.objective
    limit, hits, false = objective.budget.value, cuts.hits, cuts.false
    if objective.budget.kind == "max_cost":
        if not cuts.saved[-1]:
            return 0.0
        return float(max(np.max(cuts.saved - cuts.spent) / cuts.saved[-1], 0.0))
    recalls = []
    for factor in _FACTORS:
        if objective.budget.kind == "max_fpr":
            kept = false <= factor * limit * false[-1]
        elif objective.budget.kind == "min_precision":
            kept = false <= factor * (1.0 - limit) * (hits + false)
        else:
            rate = factor * limit / (objective.events_per_day or 1.0)
            kept = hits + false <= rate * (hits[-1] + false[-1])
        recalls.append(np.max(hits[kept], initial=0.0) / hits[-1])
    return float(np.mean(recalls))


def average_precision(cuts: Cuts) -> float:
    """Mean precision over the attacks, by falling score; ties count as one step."""
    gained, drawn = np.diff(cuts.hits, prepend=0.0), cuts.hits + cuts.false
    precision = np.divide(cuts.hits, drawn, out=np.zeros(len(drawn)), where=drawn > 0)
    return float(np.sum(gained * precision) / cuts.hits[-1])


def costs(contract: Contract, events: Events) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) costs of missing and of flagging each event; a missing amount costs nothing."""

    def of(cost: float | str) -> NDArray[np.float64]:
        if isinstance(cost, str):
            column = events.columns.get(cost, np.zeros(events.n))
            return np.nan_to_num(np.asarray(column, dtype=np.float64))
        return np.full(events.n, float(cost))

    return of(contract.objective.cost_missed), of(contract.objective.cost_false_alarm)
