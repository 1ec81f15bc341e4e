"""baluarte.methods.drift.ks and .psi: familiar numbers, computed as others compute them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from baluarte.methods.drift.ks import KolmogorovSmirnov, p_value
from baluarte.methods.drift.psi import PopulationStability


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(1, 400), st.booleans())
def test_the_gap_is_that_of_scipy_ties_and_all(seed: int, n: int, m: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 1)), rng.normal(0.2, size=(m, 1))
    if ties:
        a, b = np.round(a), np.round(b)
    (found,) = KolmogorovSmirnov().values(a, b, names=["x"], categorical=[False])
    with warnings.catch_warnings(action="ignore"):  # of its p-value, which nobody asked for
        theirs = stats.ks_2samp(a[:, 0], b[:, 0])
    assert found.value == pytest.approx(theirs.statistic)


@pytest.mark.parametrize(("n", "m", "gap"), [(500, 500, 0.08), (2_000, 900, 0.05), (100, 80, 0.25)])
def test_the_p_value_is_near_the_exact_one(n: int, m: int, gap: float) -> None:
    exact = stats.distributions.kstwo.sf(gap, round(n * m / (n + m)))
    assert p_value(gap, n, m) == pytest.approx(exact, rel=0.1)
    assert p_value(0.0, n, m) == 1
    assert p_value(1.0, n, m) < 1e-12


def test_the_index_of_known_shares_is_what_the_formula_says() -> None:
    a = np.repeat([0.0, 1.0], [6_000, 4_000])[:, None]
    b = np.repeat([0.0, 1.0], [4_000, 6_000])[:, None]
    (found,) = PopulationStability().values(a, b, names=["x"], categorical=[True])
    assert found.value == pytest.approx(2 * 0.2 * np.log(0.6 / 0.4), rel=1e-3)
    assert found.p is None


def test_values_gone_missing_and_codes_never_seen_are_distances_too() -> None:
    a = np.arange(1_000.0)[:, None]
    b = a.copy()
    b[:300] = np.nan
    (numbers,) = PopulationStability().values(a, b, names=["x"], categorical=[False])
    codes = np.zeros((1_000, 1))
    other = codes.copy()
    other[:300] = 5.0
    (unseen,) = PopulationStability().values(codes, other, names=["x"], categorical=[True])
    assert min(numbers.value, unseen.value) > 1
