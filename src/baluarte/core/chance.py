"""How likely chance alone is to show what a check saw: bounds that hold for any sample.

A check that looks at many columns asks many questions, so a probability is multiplied by their
number (Bonferroni) before it is compared with :data:`ALPHA`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low
from baluarte.core.evidence import Figure

ALPHA = 0.01  #: probability that a check names any of the columns that tell nothing
CONFIDENCE = 0.99  #: of the intervals that findings show
MOST_TILT = 64.0  #: beyond which Chernoff's bound no longer falls by much

Counts = NDArray[np.int64]


def share_figure(name: str, k: int, n: int) -> Figure:
    """A share with its exact two-sided interval; ``n`` is at least 1.

    Source: Clopper & Pearson, Biometrika 26(4), 1934.
    """
    alpha = (1 - CONFIDENCE) / 2
    return Figure(
        name=name,
        value=k / n,
        low=clopper_pearson_low(k, n, alpha),
        high=clopper_pearson_high(k, n, alpha),
        confidence=CONFIDENCE,
        method="clopper-pearson",
        n=n,
    )


def count_figure(name: str, n: float, of: int) -> Figure:
    """A count over ``of`` rows or values: exact, so it has no interval."""
    return Figure(name=name, value=float(n), method="count", n=of)


def auc_figure(auc: float, n_attacks: int, n_rest: int) -> Figure:
    """A ROC-AUC with an interval that holds for any distribution.

    Source: Hoeffding, JASA 58(301), 1963, section 5b: a two-sample U-statistic of a kernel in
    [0, 1] is as concentrated as the mean of min(n, m) independent values.
    """
    half = math.sqrt(math.log(2 / (1 - CONFIDENCE)) / (2 * min(n_attacks, n_rest)))
    return Figure(
        name="auc",
        value=auc,
        low=max(auc - half, 0.0),
        high=min(auc + half, 1.0),
        confidence=CONFIDENCE,
        method="hoeffding",
        n=n_attacks + n_rest,
    )


def auc_by_chance(auc: float, n_attacks: int, n_rest: int) -> float:
    """Upper bound on the probability of this ROC-AUC or more where the truth is a half.

    Source: as :func:`auc_figure`, one-sided.
    """
    over = max(auc - 0.5, 0.0)
    return math.exp(-2 * min(n_attacks, n_rest) * over * over)


def by_chance(hits: Counts, marked: Counts, attacks: Counts, rows: Counts) -> float:
    """Upper bound on the probability of so many or so few attacks among marked rows.

    If the mark tells nothing within a stratum, the attacks among its marked rows are a
    hypergeometric count; all strata together are a sum of such counts.

    Args:
        hits: (strata,) marked rows that are attacks.
        marked: (strata,) marked rows.
        attacks: (strata,) rows that are attacks.
        rows: (strata,) rows; at least 1 each.
    """
    # A count of attacks among marked rows is one of marked rows among attacks: the better bound.
    return min(
        _by_chance(hits, marked, attacks / rows),
        _by_chance(hits, attacks, marked / rows),
    )


def _by_chance(hits: Counts, drawn: Counts, shares: NDArray[np.float64]) -> float:
    """The same for ``drawn`` rows of which a share is expected to hit.

    Source: Hoeffding, JASA 58(301), 1963, theorem 4 (drawing without replacement is no wilder than
    with it); Chernoff's bound, minimised by bisection; doubled for both sides.
    """
    seen, mean = float(hits.sum()), float((drawn * shares).sum())
    if seen < mean:
        return _by_chance(drawn - hits, drawn, 1 - shares)
    if seen == mean:
        return 1.0

    def expected(tilt: float) -> float:
        return float((drawn * (shares / (shares + (1 - shares) * math.exp(-tilt)))).sum())

    low, high = 0.0, 1.0
    while high < MOST_TILT and expected(high) < seen:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < seen else (low, middle)
    exponent = float((drawn * np.log1p(shares * math.expm1(low))).sum()) - low * seen
    return min(2 * math.exp(min(exponent, 0.0)), 1.0)


def chance_figure(p: float, tests: int) -> Figure:
    """The probability that chance shows as much in any of ``tests`` questions, as evidence."""
    return Figure(name="chance", value=min(p * tests, 1.0), method="bonferroni", n=tests)
