"""The holdout keeps its word for whoever keeps asking, and so do e-values for whoever peeks."""

from __future__ import annotations

import pytest

from baluarte.testing import guarantees


def error(rate: float, n: int) -> float:
    """Three standard errors of a rate over n repetitions."""
    return 3 * (rate * (1 - rate) / n) ** 0.5


SHORT_OR_LONG = pytest.mark.parametrize("n", [2_000, pytest.param(50_000, marks=pytest.mark.soak)])


@SHORT_OR_LONG
def test_a_hundred_tries_pass_a_bad_candidate_no_more_often_than_one_may(n: int) -> None:
    shown = guarantees.resubmissions(21, repetitions=n)
    assert shown.measured <= 0.05
    assert shown.usual["bound without a budget"] > 0.05
    assert shown.usual["point estimate"] > 0.99


@SHORT_OR_LONG
def test_nor_one_that_is_only_just_bad(n: int) -> None:
    shown = guarantees.resubmissions(22, repetitions=n, truth=0.9499)
    assert shown.measured <= 0.05 + error(0.05, n)
    assert shown.usual["bound without a budget"] > 0.9


@SHORT_OR_LONG
def test_the_best_segment_of_each_try_helps_only_who_sees_the_figures(n: int) -> None:
    shown = guarantees.best_segments(23, repetitions=n)
    assert shown.measured <= 0.005
    assert shown.usual["figures shown after a failed look"] == 1


@pytest.mark.parametrize("n", [1_000, pytest.param(20_000, marks=pytest.mark.soak)])
def test_a_challenger_that_is_no_better_is_promoted_in_at_most_five_percent(n: int) -> None:
    shown = guarantees.challenger(24, repetitions=n)
    assert shown.measured <= 0.05 + error(0.05, n)
    assert shown.usual["McNemar looked at every 50 pairs"] > 0.2


@pytest.mark.parametrize("n", [150, pytest.param(3_000, marks=pytest.mark.soak)])
def test_nor_is_it_on_audited_labels_where_weighted_counts_promote_it(n: int) -> None:
    shown = guarantees.audited_challenger(25, repetitions=n)
    assert shown.measured <= 0.05 + error(0.05, n)
    assert shown.usual["weighted counts in the formula of pairs"] > 0.4


def test_a_challenger_that_wins_six_in_ten_takes_about_168_pairs() -> None:
    assert guarantees.pairs_until_promoted(26, repetitions=2_000) == pytest.approx(168, abs=15)
