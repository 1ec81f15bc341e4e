"""The threshold under a budget on precision: fixed-sequence tests over candidate thresholds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import PLANNED_PASS, clopper_pearson_low, planned_pass
from baluarte.core.evidence import Figure
from baluarte.core.threshold_search import Found, Search, figure_name, labelled, tail_candidates
from baluarte.errors import DataError

PRECISION_GRID = 200  #: candidate thresholds at most, from the strictest down
STARTS = (1.5, 3.0, 6.0, 12.0)
"""Where a sequence of tests starts: expected alerts, in multiples of the fewest that certify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """A candidate threshold whose precision passed its test."""

    threshold: int
    hits: int
    alerts: int
    low: float
    planned: float  #: probability that the precision gate passes on the proof rows


def by_precision(search: Search) -> Found:
    """Fixed-sequence tests from the strictest candidate down, from several starts.

    Every test asks whether the lower Clopper-Pearson bound of the precision above a candidate
    reaches the budget; a sequence stops at its first no, so it needs no correction within itself.
    Among the candidates that pass, those planned to pass the gate as well are preferred.

    Source: Angelopoulos et al., "Learn then test", arXiv 2110.01052, fixed-sequence testing.
    """
    labels = labelled(search)
    limit, delta = search.budget.value, (1 - search.confidence) / len(STARTS)
    least = max(1, math.ceil(math.log(delta) / math.log(limit)))
    n = len(labels)
    if n < least:
        raise DataError(
            f"band {search.band}: precision {limit:g} takes at least {least} alerts to certify; "
            f"found {n} threshold rows",
            hint=f"Bring at least {least - n} more.",
        )
    candidates = tail_candidates(search.grid, least=least / n, size=PRECISION_GRID)
    share = 1 - search.grid.searchsorted(candidates, side="right") / len(search.grid)
    starts = (share * n).searchsorted(least * np.array(STARTS))
    tested, best = _tested(search, candidates, starts, delta)
    if not tested:
        raise DataError(
            f"band {search.band}: no threshold keeps precision {limit:g}; the best lower bound is "
            f"{best:.4g}",
            hint=f"Lower min_precision, train a better detector, or bring more threshold rows: "
            f"{least} alerts without an error are the fewest that certify it.",
        )
    kept = [one for one in tested if one.planned >= PLANNED_PASS]
    kept = kept or [max(tested, key=lambda one: one.planned)]
    chosen = min(kept, key=lambda one: one.threshold)
    precision = Figure(
        name=figure_name(search, "precision"),
        value=chosen.hits / chosen.alerts,
        low=chosen.low,
        confidence=search.confidence,
        method=f"clopper-pearson, fixed sequence of {len(candidates)}, {len(STARTS)} starts",
        n=chosen.alerts,
    )
    planned = Figure(
        name=figure_name(search, "planned_pass"),
        value=chosen.planned,
        method="beta-binomial",
        n=search.proof.rows,
    )
    certified = np.unique(np.array([one.threshold for one in kept], dtype=np.int64))
    return Found(certified=certified, rising=False, figures=(precision, planned))


def _tested(
    search: Search, candidates: NDArray[np.int64], starts: NDArray[np.int64], delta: float
) -> tuple[list[_Tested], float]:
    """The candidates that pass, and the best lower bound met.

    The candidates and the starts come from the calibration rows, so that no test chose them.
    """
    labels = labelled(search)
    n, limit = len(labels), search.budget.value
    attacks = np.sort(search.rows.scores[labels == 1])
    everything = np.sort(search.rows.scores)
    hits = len(attacks) - attacks.searchsorted(candidates, side="right")
    alerts = n - everything.searchsorted(candidates, side="right")
    tested: dict[int, _Tested] = {}
    best = 0.0
    for start in starts.tolist():
        for i in range(start, len(candidates)):
            k, m = int(hits[i]), int(alerts[i])
            low = clopper_pearson_low(k, m, delta)
            best = max(best, low)
            if low < limit:
                break
            if i not in tested:
                planned = planned_pass(
                    k,
                    m,
                    round(m * search.proof.rows / n),
                    max_fpr=1 - limit,
                    alpha=search.alpha_gate,
                )
                tested[i] = _Tested(
                    threshold=int(candidates[i]), hits=k, alerts=m, low=low, planned=planned
                )
    return list(tested.values()), best
