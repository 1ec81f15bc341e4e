"""The threshold under a budget on cost: a bound on the mean cost of an event at every candidate."""

from __future__ import annotations

import math

import numpy as np

from baluarte.core.evidence import Figure
from baluarte.core.threshold_search import Found, Search, figure_name, labelled, tail_candidates
from baluarte.errors import ContractError, DataError

COST_GRID = 64  #: candidate thresholds, all of them bounded together


def by_cost(search: Search) -> Found:
    """The mean cost of an event, bounded at every candidate together.

    Source: Maurer & Pontil, COLT 2009, theorem 4 (empirical Bernstein), with a union bound.
    """
    labels = labelled(search)
    missed, false_alarm = search.rows.cost_missed, search.rows.cost_false_alarm
    if missed is None or false_alarm is None:
        raise DataError("max_cost needs the cost of every threshold row; found none")
    most = search.contract.objective.max_event_cost or _largest_stated(search)
    spent = np.where(labels == 1, missed, false_alarm)
    wrong = ~((spent >= 0) & (spent <= most))
    if wrong.any():
        raise DataError(
            f"expected costs of one event in [0, {most:g}], found {spent[wrong][0]:g} "
            f"and {int(wrong.sum()) - 1} more outside",
            where="objective.max_event_cost",
            hint="Raise max_event_cost to the largest cost that one event can have.",
        )
    candidates = tail_candidates(search.grid, least=0.0, size=COST_GRID)[::-1]
    n, slack = len(labels), math.log(2 * len(candidates) / (1 - search.confidence))
    scores = search.rows.scores
    highs = np.empty(len(candidates))
    means = np.empty(len(candidates))
    for i, candidate in enumerate(candidates):
        cost = np.where((scores > candidate) == (labels == 0), spent, 0.0)
        means[i] = cost.mean()
        spread = math.sqrt(2 * cost.var(ddof=1) * slack / n)
        highs[i] = means[i] + spread + 7 * most * slack / (3 * (n - 1))
    kept = highs <= search.budget.value
    if not kept.any():
        i = int(highs.argmin())
        raise DataError(
            f"band {search.band}: no threshold keeps the mean cost of an event within "
            f"{search.budget.value:g}; the best mean is {means[i]:.4g}, bounded by {highs[i]:.4g}",
            hint=_cost_hint(search.budget.value, float(means[i]), most * slack),
        )
    i = int(np.argmax(kept))
    figure = Figure(
        name=figure_name(search, "mean_cost"),
        value=float(means[i]),
        high=float(highs[i]),
        confidence=search.confidence,
        method=f"empirical Bernstein, union over {len(candidates)} thresholds",
        n=n,
    )
    return Found(certified=candidates[kept], rising=False, figures=(figure,))


def _largest_stated(search: Search) -> float:
    objective = search.contract.objective
    costs = (objective.cost_missed, objective.cost_false_alarm)
    numbers = [cost for cost in costs if not isinstance(cost, str)]
    if len(numbers) < len(costs):
        raise ContractError(
            "max_cost with the cost in a field needs the largest cost of one event; found none",
            where="objective.max_event_cost",
            hint="Say max_event_cost: the bound on the mean stands on it.",
        )
    return max(numbers)


def _cost_hint(limit: float, mean: float, scale: float) -> str:
    if mean >= limit:
        return "Raise max_cost, or train a better detector: more rows won't do."
    needed = math.ceil((7 / 3 * scale + 2 * mean * scale / (limit - mean)) / (limit - mean))
    return f"About {needed} threshold rows would do, or a larger max_cost."
