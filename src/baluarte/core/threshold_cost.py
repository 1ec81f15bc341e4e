"""The threshold under a budget on cost: a bound on the mean cost of an event at every candidate."""

from __future__ import annotations

import math

import numpy as np

from baluarte.core.cost_bound import mean_high, most_of, spent
from baluarte.core.evidence import Figure
from baluarte.core.threshold_search import Found, Search, figure_name, labelled, tail_candidates
from baluarte.errors import DataError

COST_GRID = 64  #: candidate thresholds, all of them bounded together


def by_cost(search: Search) -> Found:
    """The mean cost of an event, bounded at every candidate together by a union bound."""
    labels = labelled(search)
    missed, false_alarm = search.rows.cost_missed, search.rows.cost_false_alarm
    if missed is None or false_alarm is None:
        raise DataError("max_cost needs the cost of every threshold row; found none")
    most = most_of(search.contract)
    wrong = spent(labels, missed, false_alarm, most=most)
    candidates = tail_candidates(search.grid, least=0.0, size=COST_GRID)[::-1]
    n, alpha = len(labels), (1 - search.confidence) / len(candidates)
    scores = search.rows.scores
    highs = np.empty(len(candidates))
    means = np.empty(len(candidates))
    for i, candidate in enumerate(candidates):
        cost = np.where((scores > candidate) == (labels == 0), wrong, 0.0)
        means[i] = cost.mean()
        highs[i] = mean_high(cost, most=most, alpha=alpha)
    kept = highs <= search.budget.value
    if not kept.any():
        i = int(highs.argmin())
        raise DataError(
            f"band {search.band}: no threshold keeps the mean cost of an event within "
            f"{search.budget.value:g}; the best mean is {means[i]:.4g}, bounded by {highs[i]:.4g}",
            hint=_cost_hint(search.budget.value, float(means[i]), most * math.log(2 / alpha)),
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


def _cost_hint(limit: float, mean: float, scale: float) -> str:
    if mean >= limit:
        return "Raise max_cost, or train a better detector: more rows won't do."
    needed = math.ceil((7 / 3 * scale + 2 * mean * scale / (limit - mean)) / (limit - mean))
    return f"About {needed} threshold rows would do, or a larger max_cost."
