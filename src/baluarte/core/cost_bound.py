"""The mean cost of an event, bounded from above: what ``max_cost`` is certified and gated by."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.judging import planned_truth
from baluarte.errors import ContractError, DataError

WHERE = "objective.max_event_cost"


def most_of(contract: Contract) -> float:
    """The largest cost that one event can have: every bound on the mean stands on it.

    Raises:
        ContractError: the cost is a field's, and the contract does not bound it.
    """
    objective = contract.objective
    if objective.max_event_cost is not None:
        return objective.max_event_cost
    costs = (objective.cost_missed, objective.cost_false_alarm)
    numbers = [cost for cost in costs if not isinstance(cost, str)]
    if len(numbers) < len(costs):
        raise ContractError(
            "max_cost with the cost in a field needs the largest cost of one event; found none",
            where=WHERE,
            hint="Say max_event_cost: the bound on the mean stands on it.",
        )
    return max(numbers)


def spent(
    labels: NDArray[np.int8],
    missed: NDArray[np.float64],
    false_alarm: NDArray[np.float64],
    *,
    most: float,
) -> NDArray[np.float64]:
    """(n,) what a wrong decision on each event costs.

    Raises:
        DataError: a cost is below zero or above ``most``.
    """
    cost = np.where(labels == 1, missed, false_alarm)
    wrong = ~((cost >= 0) & (cost <= most))
    if wrong.any():
        raise DataError(
            f"expected costs of one event in [0, {most:g}], found {cost[wrong][0]:g} "
            f"and {int(wrong.sum()) - 1} more outside",
            where=WHERE,
            hint="Raise max_event_cost to the largest cost that one event can have.",
        )
    return cost


def mean_high(cost: NDArray[np.float64], *, most: float, alpha: float) -> float:
    """Upper bound on the mean of costs in [0, most], below it with probability at most ``alpha``.

    Source: Maurer & Pontil, COLT 2009, theorem 4 (empirical Bernstein).
    """
    n, slack = len(cost), math.log(2 / alpha)
    if n < 2:
        return most
    spread = math.sqrt(2 * float(cost.var(ddof=1)) * slack / n)
    return float(cost.mean()) + spread + 7 * most * slack / (3 * (n - 1))


def events_needed(limit: float, *, most: float, alpha: float) -> int:
    """Events with which a detector at the planned truth passes: its mean cost is .6 of the limit.

    Planned for the largest variance that costs in [0, most] with this mean can have, and for a
    sample whose mean and variance lie a planned error above the true ones.
    """
    truth, slack = planned_truth(limit, below=True), math.log(2 / alpha)
    if limit >= most:
        return 0
    sd, power = math.sqrt(truth * (most - truth)), 0.8416  # the normal quantile of .8

    def reaches(n: int) -> bool:
        above = power * sd / math.sqrt(n)
        spread = math.sqrt(2 * (truth + above) * most * slack / n)
        return truth + above + spread + 7 * most * slack / (3 * (n - 1)) <= limit

    high = 2
    while not reaches(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if middle > 1 and reaches(middle) else (middle, high)
    return high
