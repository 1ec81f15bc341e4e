"""Choose the thresholds of the bands so that each keeps its budget, whatever the scores.

The contract's error probability is shared equally by its budgeted bands, so all of them hold
together. Budgets on rates rest on order statistics; precision and cost on tests over a grid of
candidate thresholds that comes from the calibration rows, never from the rows that test it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from baluarte.core.bands import Bands, point_cuts
from baluarte.core.bounds import look_alpha
from baluarte.core.calibration import Knots, calibrate, rank_table
from baluarte.core.calibration_curves import beta, platt
from baluarte.core.contract import BudgetKind, Calibration, Contract
from baluarte.core.evidence import Figure
from baluarte.core.threshold_cost import by_cost
from baluarte.core.threshold_precision import by_precision
from baluarte.core.threshold_rates import by_alerts_per_day, by_false_alarms
from baluarte.core.threshold_search import (
    EVERYTHING,
    Found,
    ProofSize,
    ScoredRows,
    Search,
)
from baluarte.errors import DataError

_SEARCHES: dict[BudgetKind, Callable[[Search], Found]] = {
    "max_fpr": by_false_alarms,
    "max_alerts_per_day": by_alerts_per_day,
    "min_precision": by_precision,
    "max_cost": by_cost,
}


_CURVES: dict[Calibration, Callable[[NDArray[np.int64], NDArray[np.int8]], Knots]] = {
    "isotonic": calibrate,
    "platt": platt,
    "beta": beta,
}


def fit_bands(
    contract: Contract, *, threshold: ScoredRows, calibration: ScoredRows, proof: ProofSize
) -> tuple[Bands, list[Figure]]:
    """The sealed tables of a detector, and the evidence for its thresholds.

    Without labels every threshold row counts as no attack, which only makes ``max_fpr`` stricter,
    and the probability table holds ranks.

    Args:
        threshold: rows for the thresholds alone, disjoint from all others.
        calibration: rows for the probability table; they also give the grid of candidates.
        proof: sizes of the proof rows, for the budget α′ that is planned to pass the gate.

    Raises:
        ContractError: a budget that the rows can't speak to, such as precision without labels.
        DataError: too few rows, or no threshold keeps a budget; says what was reached or needed.
    """
    if len(calibration.scores) == 0:
        raise DataError("expected calibration rows, found none")
    thresholds, figures = fit_thresholds(
        contract, threshold=threshold, grid=calibration.scores, proof=proof
    )
    how: Calibration = contract.learner.calibration or "isotonic"
    if calibration.labels is None:
        knots = rank_table(calibration.scores)
    else:
        knots = _CURVES[how](calibration.scores, calibration.labels)
    bands = Bands(
        names=tuple(band.name for band in contract.bands),
        thresholds=thresholds,
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, contract.points),
        calibration="quantile" if calibration.labels is None else how,
    )
    return bands, figures


def fit_thresholds(
    contract: Contract, *, threshold: ScoredRows, grid: NDArray[np.int64], proof: ProofSize
) -> tuple[tuple[int, ...], list[Figure]]:
    """One threshold for each band above the lowest, ascending; see :func:`fit_bands`."""
    alpha = 1 - contract.objective.confidence
    upper = contract.bands[1:]
    thresholds: list[int] = []
    figures: list[Figure] = []
    for band in upper:
        search = Search(
            contract=contract,
            band=band.name,
            budget=band.budget or contract.objective.budget,
            confidence=1 - alpha / len(upper),
            rows=threshold,
            grid=np.sort(grid),
            proof=proof,
            alpha_gate=look_alpha(alpha, 1) / (len(upper) * max(len(contract.gates), 1)),
        )
        found = _SEARCHES[search.budget.kind](search)
        floor = thresholds[-1] if thresholds else EVERYTHING
        thresholds.append(_at_least(floor, found, search))
        figures += found.figures
    return tuple(thresholds), figures


def _at_least(floor: int, found: Found, search: Search) -> int:
    """The lowest certified threshold that is not below the band underneath."""
    high_enough = found.certified[found.certified >= floor]
    if len(high_enough):
        return int(high_enough[0])
    if found.rising:
        return floor
    raise DataError(
        f"band {search.band}: no threshold at or above the band underneath keeps "
        f"{search.budget.kind} {search.budget.value:g}",
        hint="Order the bands from the widest budget to the strictest.",
    )
