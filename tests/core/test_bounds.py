"""baluarte.core.bounds: bounds that hold, and how many rows they need."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from baluarte.core.bounds import (
    chosen_alpha,
    clopper_pearson_high,
    clopper_pearson_low,
    fewest_negatives,
    look_alpha,
    most_hits,
    planned_pass,
    rows_needed,
    smallest_rank,
)
from baluarte.errors import DataError


@given(n=st.integers(1, 200_000), share=st.floats(0, 1), alpha=st.floats(1e-9, 0.5))
def test_clopper_pearson_is_the_beta_quantile(n: int, share: float, alpha: float) -> None:
    k = round(share * n)
    high = stats.beta.isf(alpha, k + 1, n - k) if k < n else 1.0
    low = stats.beta.ppf(alpha, k, n - k + 1) if k else 0.0
    # scipy's own inverse is good to about 1e-8 in far tails; the defining equation is checked next.
    assert clopper_pearson_high(k, n, alpha) == pytest.approx(high, rel=1e-6)
    assert clopper_pearson_low(k, n, alpha) == pytest.approx(low, rel=1e-6)
    if 0 < k < n:
        assert stats.binom.cdf(k, n, clopper_pearson_high(k, n, alpha)) == pytest.approx(
            alpha, rel=1e-6
        )
        assert stats.binom.sf(k - 1, n, clopper_pearson_low(k, n, alpha)) == pytest.approx(
            alpha, rel=1e-6
        )


@given(n=st.integers(1, 500), k=st.integers(0, 499), alpha=st.floats(1e-6, 0.5))
def test_bounds_enclose_the_point_and_widen_with_confidence(n: int, k: int, alpha: float) -> None:
    k = min(k, n)
    assert clopper_pearson_low(k, n, alpha) <= k / n <= clopper_pearson_high(k, n, alpha)
    assert clopper_pearson_high(k, n, alpha / 2) >= clopper_pearson_high(k, n, alpha)
    assert clopper_pearson_low(k, n, alpha / 2) <= clopper_pearson_low(k, n, alpha)


def test_without_rows_nothing_is_known() -> None:
    assert clopper_pearson_low(0, 0, 0.05) == 0
    assert clopper_pearson_high(0, 0, 0.05) == 1


@pytest.mark.parametrize(("rate", "n"), [(0.02, 200), (0.5, 40), (0.95, 300)])
def test_one_sided_bounds_miss_the_truth_in_at_most_five_percent_of_samples(
    rate: float, n: int
) -> None:
    weights = stats.binom.pmf(np.arange(n + 1), n, rate)
    above = [clopper_pearson_low(k, n, 0.05) > rate for k in range(n + 1)]
    below = [clopper_pearson_high(k, n, 0.05) < rate for k in range(n + 1)]
    assert weights[above].sum() <= 0.05 + 1e-12  # summed over every outcome: exact, no simulation
    assert weights[below].sum() <= 0.05 + 1e-12


@given(n=st.integers(1, 5_000), max_fpr=st.floats(0.001, 0.5), confidence=st.floats(0.5, 0.999))
def test_the_rank_is_the_smallest_that_keeps_the_budget(
    n: int, max_fpr: float, confidence: float
) -> None:
    if n < fewest_negatives(max_fpr, confidence):
        with pytest.raises(DataError, match="more"):
            smallest_rank(n, max_fpr=max_fpr, confidence=confidence)
        return
    rank = smallest_rank(n, max_fpr=max_fpr, confidence=confidence)
    # P(Bin(n, 1 - α) >= k), written through scipy's other tail.
    assert stats.binom.cdf(n - rank, n, max_fpr) <= (1 - confidence) * (1 + 1e-9)
    if rank > 1:
        assert stats.binom.cdf(n - rank + 1, n, max_fpr) >= (1 - confidence) * (1 - 1e-9)


def test_the_fewest_negatives_are_those_of_the_paper() -> None:
    assert [fewest_negatives(a, 0.95) for a in (1e-2, 1e-3, 1e-4)] == [299, 2_995, 29_956]


def test_too_few_negatives_are_told_with_the_number_that_is_missing() -> None:
    with pytest.raises(DataError, match=r"at least 2995 threshold rows; found 2000.*Bring 995"):
        smallest_rank(2_000, max_fpr=1e-3, confidence=0.95)


def test_all_looks_together_spend_no_more_than_alpha() -> None:
    spent = [look_alpha(0.05, look) for look in range(1, 100_001)]
    assert sum(spent) < 0.05
    assert sum(spent) == pytest.approx(0.05, abs=1e-6)
    assert spent == sorted(spent, reverse=True)


def test_zero_false_alarms_in_three_thousand_certify_one_in_a_thousand() -> None:
    assert clopper_pearson_high(0, 3_000, 0.05) <= 1e-3
    assert most_hits(3_000, limit=1e-3, alpha=0.05) == 0
    assert most_hits(2_900, limit=1e-3, alpha=0.05) == -1


@pytest.mark.parametrize(("look", "positives"), [(None, 601), (1, 722), (2, 1_059), (5, 1_496)])
def test_recall_of_95_takes_the_positives_that_were_worked_out(
    look: int | None, positives: int
) -> None:
    alpha = 0.05 if look is None else look_alpha(0.05, look)
    need = rows_needed(limit=0.95, truth=0.97, alpha=alpha)
    assert need.n == positives
    assert need.power >= 0.8


@given(
    limit=st.floats(0.5, 0.99), gap=st.floats(0.2, 0.9), alpha=st.floats(1e-4, 0.1),
    below=st.booleans(),
)  # fmt: skip
def test_the_rows_needed_do_pass_with_the_stated_power(
    limit: float, gap: float, alpha: float, below: bool
) -> None:
    truth = limit + gap * (1 - limit)
    if below:
        limit, truth = 1 - limit, 1 - truth
    need = rows_needed(limit=limit, truth=truth, alpha=alpha, below=below)
    bad_limit, bad_truth = (limit, truth) if below else (1 - limit, 1 - truth)
    most = most_hits(need.n, limit=bad_limit, alpha=alpha)
    assert stats.binom.cdf(most, need.n, bad_truth) == pytest.approx(need.power, abs=1e-9)
    assert need.power >= 0.8


def test_a_truth_on_the_wrong_side_of_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="right side"):
        rows_needed(limit=0.95, truth=0.9, alpha=0.05)


def test_the_planned_pass_is_the_share_of_simulated_worlds_that_pass() -> None:
    n_cal, n_proof, max_fpr, alpha = 1_500, 2_000, 0.02, 0.03
    chosen = chosen_alpha(
        max_fpr=max_fpr, n_cal=n_cal, n_proof=n_proof, confidence=0.95, alpha_gate=alpha
    )
    assert chosen is not None
    most = most_hits(n_proof, limit=max_fpr, alpha=alpha)
    rng = np.random.default_rng(5)
    cuts = np.partition(rng.random((6_000, n_cal)), chosen.rank - 1)[:, chosen.rank - 1]
    passed = (rng.binomial(n_proof, 1 - cuts) <= most).mean()
    assert passed == pytest.approx(chosen.power, abs=0.015)  # three standard errors are .012
    assert chosen.power >= 0.9


@given(n=st.integers(300, 5_000), n_proof=st.integers(0, 5_000))
def test_the_chosen_budget_is_the_largest_that_is_planned_to_pass(n: int, n_proof: int) -> None:
    chosen = chosen_alpha(max_fpr=0.01, n_cal=n, n_proof=n_proof, confidence=0.95, alpha_gate=0.03)
    strictest = planned_pass(n, n, n_proof, max_fpr=0.01, alpha=0.03)
    if chosen is None:
        assert strictest < 0.9
        return
    assert chosen.alpha <= 0.01
    assert smallest_rank(n, max_fpr=chosen.alpha * (1 + 1e-9), confidence=0.95) == chosen.rank
    loosest = smallest_rank(n, max_fpr=0.01, confidence=0.95)
    if chosen.rank > loosest:
        assert planned_pass(chosen.rank - 1, n, n_proof, max_fpr=0.01, alpha=0.03) < 0.9


def test_the_planned_pass_of_equal_samples_without_a_margin_is_about_one_half() -> None:
    rank = smallest_rank(20_000, max_fpr=0.01, confidence=0.95)
    power = planned_pass(rank, 20_000, 20_000, max_fpr=0.01, alpha=0.05)
    assert power == pytest.approx(0.5, abs=0.05)
    assert math.isclose(power, planned_pass(rank, 20_000, 20_000, max_fpr=0.01, alpha=0.05))
