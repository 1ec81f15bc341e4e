"""Thresholds under a budget on a rate of alerts: the Neyman-Pearson umbrella."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import chosen_alpha, planned_pass, smallest_rank
from baluarte.core.evidence import Figure
from baluarte.core.threshold_search import EVERYTHING, Found, Search, figure_name
from baluarte.errors import ContractError


def _umbrella(search: Search, scores: NDArray[np.int64], rate: float, n_proof: int) -> Found:
    n = len(scores)
    chosen = chosen_alpha(
        max_fpr=rate,
        n_cal=n,
        n_proof=n_proof,
        confidence=search.confidence,
        alpha_gate=search.alpha_gate,
    )
    if chosen is None:  # the budget still holds at α itself; the gate is not planned to see it
        rank = smallest_rank(n, max_fpr=rate, confidence=search.confidence)
        certified = rate
        power = planned_pass(rank, n, n_proof, max_fpr=rate, alpha=search.alpha_gate)
    else:
        rank, certified, power = chosen.rank, chosen.alpha, chosen.power
    threshold = int(np.partition(scores, rank - 1)[rank - 1])
    umbrella = Figure(
        name=figure_name(search, "rate"),
        value=float(np.count_nonzero(scores > threshold)) / n,
        high=certified,
        confidence=search.confidence,
        method=f"neyman-pearson umbrella, rank {rank}",
        n=n,
    )
    planned = Figure(
        name=figure_name(search, "planned_pass"),
        value=power,
        method="beta-binomial, continuous scores",
        n=n_proof,
    )
    return Found(
        certified=np.array([threshold], dtype=np.int64), rising=True, figures=(umbrella, planned)
    )


def by_false_alarms(search: Search) -> Found:
    """The threshold under ``max_fpr``: an order statistic of the negatives."""
    return _umbrella(search, search.rows.negatives, search.budget.value, search.proof.negatives)


def by_alerts_per_day(search: Search) -> Found:
    """The threshold under ``max_alerts_per_day``: an order statistic of all events."""
    events_per_day = search.contract.objective.events_per_day
    if events_per_day is None:
        raise ContractError(
            "max_alerts_per_day needs the number of events a day; found none",
            where="objective.events_per_day",
            hint="Say how many events a day the detector will see.",
        )
    rate = search.budget.value / events_per_day
    if rate >= 1:
        everything = np.array([EVERYTHING], dtype=np.int64)
        return Found(certified=everything, rising=True, figures=())
    return _umbrella(search, search.rows.scores, rate, search.proof.rows)
