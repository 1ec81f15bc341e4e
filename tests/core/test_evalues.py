"""baluarte.core.evalues: evidence that may be looked at whenever one likes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from baluarte.core.evalues import log_e_audited, log_e_discordant


@given(wins=st.integers(0, 60), losses=st.integers(0, 60))
def test_it_is_the_integral_of_the_definition(wins: int, losses: int) -> None:
    value, _ = integrate.quad(
        lambda p: (2 * p) ** wins * (2 * (1 - p)) ** losses, 0.5, 1, epsrel=1e-12, limit=400
    )
    assert math.exp(log_e_discordant(wins, losses)) == pytest.approx(2 * value, rel=1e-8)


@given(wins=st.integers(0, 3_000), losses=st.integers(0, 3_000))
def test_its_mean_over_the_next_fair_pair_is_at_most_what_it_is(wins: int, losses: int) -> None:
    now = log_e_discordant(wins, losses)
    won = math.exp(log_e_discordant(wins + 1, losses) - now)
    lost = math.exp(log_e_discordant(wins, losses + 1) - now)
    assert 0.5 * won + 0.5 * lost <= 1 + 1e-9  # a martingale at one half


def test_millions_of_pairs_stay_finite() -> None:
    assert log_e_discordant(600_000, 400_000) > 10_000
    assert -20 < log_e_discordant(400_000, 600_000) < 0


def test_audited_labels_without_any_audit_say_nothing() -> None:
    log_e = log_e_audited(
        np.zeros(5, dtype=bool), np.ones(5, dtype=np.int8), np.full(5, 0.1), floor=0.1
    )
    assert log_e.tolist() == [0.0] * 5


@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=40), st.floats(0.01, 1))
def test_audited_evidence_is_the_mean_of_its_bets(outcomes: list[int], floor: float) -> None:
    d, pi = np.array(outcomes, dtype=np.int8), np.full(len(outcomes), floor)
    found = log_e_audited(np.ones(len(d), dtype=bool), d, pi, floor=floor)
    bets = [0.9 * floor * share for share in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)]
    product = [math.prod(1 + bet * x / floor for x in outcomes) for bet in bets]
    assert math.exp(found[-1]) == pytest.approx(sum(product) / len(product), rel=1e-9)


def test_a_probability_below_its_floor_is_refused() -> None:
    with pytest.raises(ValueError, match="floor"):
        log_e_audited(np.array([True]), np.array([1], np.int8), np.array([0.01]), floor=0.1)
