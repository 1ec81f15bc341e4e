"""Exact bounds on proportions, and how many rows they need.

Everything a promotion promises about a rate rests on this page: Clopper-Pearson bounds, the rank of
the Neyman-Pearson umbrella, the budget of looks at a holdout, and the sample sizes that ``plan``
tells before anyone trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from baluarte.core.binomial import (
    binomial_cdf,
    log_binomial_cdf,
    log_binomial_pmf,
    log_binomial_tail,
)
from baluarte.errors import DataError

POWER = 0.8  #: probability of passing that a planned sample size gives a detector that is good
PLANNED_PASS = 0.9  #: probability of passing the gate that a chosen threshold is planned for


# --- Clopper-Pearson ---------------------------------------------------------------------------


def _solve(
    goal: float, start: float, at: Callable[[float], tuple[float, float]], *, rising: bool
) -> float:
    """The p in (0, 1) where a monotone function is ``goal``: Newton's steps kept in a bracket.

    Args:
        at: value and slope of the function at p.
    """
    low, high, p = 0.0, 1.0, start
    for _ in range(200):
        value, slope = at(p)
        if (value > goal) == rising:
            high = p
        else:
            low = p
        following = p - (value - goal) / slope if slope else low
        if not low < following < high:
            following = 0.5 * (low + high)
        if abs(following - p) <= 2e-15 * p:
            return following
        p = following
    return p


def clopper_pearson_high(k: int, n: int, alpha: float) -> float:
    """Upper one-sided bound on a rate: at or above the truth with probability >= ``1 - alpha``.

    Args:
        k: hits, in [0, n].
        n: trials; with none the bound is 1.

    >>> round(clopper_pearson_high(0, 3000, 0.05), 6)
    0.000998

    Source: Clopper & Pearson, Biometrika 26(4), 1934.
    """
    if k >= n:
        return 1.0
    if k == 0:
        return -math.expm1(math.log(alpha) / n)

    def at(p: float) -> tuple[float, float]:
        log_cdf = log_binomial_cdf(k, n, p)
        return log_cdf, -n * math.exp(log_binomial_pmf(k, n - 1, p) - log_cdf)

    start = min((k + 1 + 2 * math.sqrt(k)) / n, 0.5 * (1 + k / n))
    return _solve(math.log(alpha), start, at, rising=False)


def clopper_pearson_low(k: int, n: int, alpha: float) -> float:
    """Lower one-sided bound on a rate: at or below the truth with probability >= ``1 - alpha``.

    Source: Clopper & Pearson, Biometrika 26(4), 1934.
    """
    if k <= 0:
        return 0.0
    if k >= n:
        return math.exp(math.log(alpha) / n)

    def at(p: float) -> tuple[float, float]:
        log_tail = log_binomial_tail(k, n, p)
        return log_tail, n * math.exp(log_binomial_pmf(k - 1, n - 1, p) - log_tail)

    return _solve(math.log(alpha), k / n * math.exp(-2 / math.sqrt(k)), at, rising=True)


# --- the umbrella, looks, power ----------------------------------------------------------------


def fewest_negatives(max_fpr: float, confidence: float) -> int:
    """Rows below which no rank keeps the budget: ``ceil(ln δ / ln(1 - α))``.

    >>> fewest_negatives(0.01, 0.95), fewest_negatives(0.001, 0.95)
    (299, 2995)
    """
    return max(1, math.ceil(math.log(1 - confidence) / math.log1p(-max_fpr)))


def _allowed_above(n: int, rate: float, delta: float) -> int:
    """The largest j with ``P(Bin(n, rate) <= j) <= delta``, or -1 when there is none."""
    goal = math.log(delta)
    low, high = -1, n  # P(Bin <= -1) = 0 qualifies, P(Bin <= n) = 1 does not
    while high - low > 1:
        middle = (low + high) // 2
        if log_binomial_cdf(middle, n, rate) <= goal:
            low = middle
        else:
            high = middle
    return low


def smallest_rank(n_negatives: int, *, max_fpr: float, confidence: float) -> int:
    """Rank of the order statistic that keeps the false-positive budget with the given confidence.

    The threshold is the rank-th smallest score of the negatives; an event alerts strictly above it.

    Args:
        n_negatives: size of the sample of negatives.
        max_fpr: tolerated false-positive rate, in (0, 1).
        confidence: in (0, 1); the budget is broken in at most 1 - confidence of samples.

    Raises:
        DataError: too few negatives for any rank to qualify; says how many more are needed.

    >>> smallest_rank(299, max_fpr=0.01, confidence=0.95)
    299

    Source: Tong, Feng & Li, Science Advances 4(2) eaao1659, 2018, the umbrella algorithm.
    """
    above = _allowed_above(n_negatives, max_fpr, 1 - confidence)
    if above < 0:
        least = fewest_negatives(max_fpr, confidence)
        raise DataError(
            f"a rate of at most {max_fpr:g} with confidence {confidence:g} takes at least {least} "
            f"threshold rows; found {n_negatives}",
            hint=f"Bring {least - n_negatives} more, or raise the budget.",
        )
    return n_negatives - above


def look_alpha(alpha: float, look: int) -> float:
    """Error probability that look number ``look`` (from 1) may spend; all looks sum to ``alpha``.

    >>> round(look_alpha(0.05, 1), 4), round(look_alpha(0.05, 2), 4)
    (0.0304, 0.0076)

    Source: the Basel sum, Σ 1/i² = π²/6.
    """
    return alpha * 6 / (math.pi**2 * look**2)


def most_hits(n: int, *, limit: float, alpha: float) -> int:
    """The most hits among n whose upper bound stays within ``limit``; -1 when none does."""
    return _allowed_above(n, limit, alpha)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A planned sample: how many rows, and the probability of passing it gives."""

    n: int
    power: float


def rows_needed(
    *, limit: float, truth: float, alpha: float, power: float = POWER, below: bool = False
) -> Need:
    """The fewest rows with which a detector whose true rate is ``truth`` passes with ``power``.

    Args:
        limit: the promised rate, in (0, 1).
        below: the rate must stay below the limit (false alarms) instead of above it (recall).

    Raises:
        ValueError: ``truth`` is on the wrong side of ``limit``.

    >>> rows_needed(limit=0.95, truth=0.97, alpha=0.05).n
    601
    """
    bad_limit, bad_truth = (limit, truth) if below else (1 - limit, 1 - truth)
    if not 0 <= bad_truth < bad_limit < 1:
        raise ValueError(f"truth {truth} is not on the right side of the limit {limit}")

    def plan(allowed: int) -> Need:
        # The fewest rows with which `allowed` bad outcomes pass: more would only lower the power.
        low, high = allowed, max(64, 2 * allowed)
        goal = math.log(alpha)
        while log_binomial_cdf(allowed, high, bad_limit) > goal:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            if log_binomial_cdf(allowed, middle, bad_limit) <= goal:
                high = middle
            else:
                low = middle
        return Need(n=high, power=binomial_cdf(allowed, high, bad_truth))

    allowed, step = 0, 1
    needed = plan(0)
    if needed.power >= power:
        return needed
    while (needed := plan(allowed + step)).power < power:
        allowed, step = allowed + step, 2 * step
    low, high = allowed, allowed + step
    while high - low > 1:
        middle = (low + high) // 2
        found = plan(middle)
        if found.power >= power:
            high, needed = middle, found
        else:
            low = middle
    return needed


# --- the threshold's own budget ----------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenAlpha:
    """The budget a threshold is chosen for, so that it also passes the gate on other rows."""

    alpha: float  #: α′: the smallest rate that this rank certifies on the threshold rows
    rank: int  #: k*: the threshold is the rank-th smallest score
    power: float  #: planned probability of passing the gate, for continuous scores


def planned_pass(rank: int, n_cal: int, n_proof: int, *, max_fpr: float, alpha: float) -> float:
    """Probability that a threshold at this rank of ``n_cal`` rows passes the gate on ``n_proof``.

    Exact for continuous scores: proof rows above the rank-th smallest of the threshold rows are
    beta-binomial, whatever the distribution.
    """
    most = most_hits(n_proof, limit=max_fpr, alpha=alpha)
    if most < 0:
        return 0.0
    a, b = n_cal - rank + 1, rank
    x = np.arange(most, dtype=np.float64)
    log_ratio = np.log((x + a) / (x + 1) * (n_proof - x) / (n_proof - x - 1 + b))
    log_first = (
        math.lgamma(n_proof + b)
        + math.lgamma(n_cal + 1)
        - math.lgamma(n_cal + n_proof + 1)
        - math.lgamma(b)
    )
    log_pmf = log_first + np.concatenate(([0.0], np.cumsum(log_ratio)))
    return float(min(np.exp(log_pmf).sum(), 1.0))


def chosen_alpha(
    *, max_fpr: float, n_cal: int, n_proof: int, confidence: float, alpha_gate: float
) -> ChosenAlpha | None:
    """The largest α′ <= ``max_fpr`` planned to pass the false-alarm gate with probability .9.

    Args:
        n_cal: threshold rows the rank is taken from.
        n_proof: proof rows that the gate will count on.
        alpha_gate: error probability that the gate's look may spend.

    Returns:
        None when no rank reaches that probability: more proof rows or a larger budget are needed.

    Raises:
        DataError: too few threshold rows for ``max_fpr`` itself.
    """
    most_above = n_cal - smallest_rank(n_cal, max_fpr=max_fpr, confidence=confidence)

    def power_at(above: int) -> float:
        return planned_pass(n_cal - above, n_cal, n_proof, max_fpr=max_fpr, alpha=alpha_gate)

    low, high = -1, most_above + 1
    while high - low > 1:
        middle = (low + high) // 2
        if power_at(middle) >= PLANNED_PASS:
            low = middle
        else:
            high = middle
    if low < 0:
        return None
    return ChosenAlpha(
        alpha=min(clopper_pearson_high(low, n_cal, 1 - confidence), max_fpr),
        rank=n_cal - low,
        power=power_at(low),
    )
