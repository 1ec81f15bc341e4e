"""baluarte.core.binomial: exact in both tails, for any size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from baluarte.core.binomial import (
    binomial_cdf,
    binomial_tail,
    log_binomial_cdf,
    log_binomial_pmf,
    log_binomial_tail,
)

sizes = st.integers(1, 100_000)
rates = st.floats(1e-6, 1 - 1e-6)


@given(n=sizes, p=rates, deviations=st.floats(-6, 6))
def test_it_agrees_with_scipy_around_the_mean(n: int, p: float, deviations: float) -> None:
    k = int(np.clip(round(n * p + deviations * math.sqrt(n * p * (1 - p))), 0, n))
    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-9, abs=1e-300)
    assert binomial_tail(k, n, p) == pytest.approx(
        stats.binom.sf(k - 1, n, p), rel=1e-9, abs=1e-300
    )
    assert log_binomial_pmf(k, n, p) == pytest.approx(
        stats.binom.logpmf(k, n, p), rel=1e-9, abs=1e-8
    )


@given(n=st.integers(1, 300), p=rates)
def test_both_tails_and_the_point_make_one(n: int, p: float) -> None:
    for k in range(-1, n + 1, max(1, n // 7)):
        assert binomial_cdf(k, n, p) + binomial_tail(k + 1, n, p) == pytest.approx(1, abs=1e-12)


def test_tails_far_beyond_float64_keep_their_logarithm() -> None:
    # P(Bin(10000, 1/2) = 0) = 2^-10000, and the lower tail there is the same number.
    assert log_binomial_cdf(0, 10_000, 0.5) == pytest.approx(-10_000 * math.log(2), rel=1e-14)
    assert log_binomial_tail(10_000, 10_000, 0.5) == pytest.approx(-10_000 * math.log(2), rel=1e-14)


def test_certain_and_impossible_outcomes_are_exactly_so() -> None:
    assert binomial_cdf(-1, 5, 0.3) == 0
    assert binomial_cdf(5, 5, 0.3) == 1
    assert binomial_tail(0, 5, 0.3) == 1
    assert binomial_tail(6, 5, 0.3) == 0
    assert binomial_cdf(0, 5, 0.0) == 1
    assert binomial_cdf(4, 5, 1.0) == 0
    assert binomial_tail(5, 5, 1.0) == 1
