"""baluarte.core.calibration: probabilities that rise with the score, also inside plateaus."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression

from baluarte.core.calibration import MAX_KNOTS, calibrate, isotonic, rank_table
from baluarte.core.decision import MAX_SCORE

scores = arrays(np.int64, st.integers(1, 200), elements=st.integers(-MAX_SCORE, MAX_SCORE))


@given(arrays(np.float64, st.integers(1, 100), elements=st.floats(-10, 10)))
def test_isotonic_is_that_of_scikit_learn(values: np.ndarray) -> None:
    means, starts = isotonic(values, np.ones(len(values)))
    sizes = np.diff(np.append(starts, len(values)))
    assert np.repeat(means, sizes) == pytest.approx(isotonic_regression(values), abs=1e-9)
    assert (np.diff(means) > 0).all()


def test_the_mean_of_the_highest_scores_is_not_beyond_them() -> None:
    for score in (MAX_SCORE, -MAX_SCORE):
        scores = np.full(5, score)
        for knots in (calibrate(scores, np.zeros(5, dtype=np.int8)), rank_table(scores)):
            assert knots.scores.tolist() == [score]


@given(scores=scores, data=st.data())
def test_knots_rise_strictly_and_stay_inside_what_a_probability_is(
    scores: np.ndarray, data: st.DataObject
) -> None:
    labels = data.draw(arrays(np.int8, len(scores), elements=st.integers(0, 1)))
    for knots in (calibrate(scores, labels), rank_table(scores)):
        assert 1 <= len(knots.scores) <= MAX_KNOTS
        assert (np.diff(knots.scores) > 0).all()
        assert (np.diff(knots.probabilities) > 0).all()
        assert 0 < knots.probabilities[0] <= knots.probabilities[-1] < 1
        assert scores.min() <= knots.scores[0] <= knots.scores[-1] <= scores.max()


def test_with_many_rows_the_table_is_near_the_true_probability() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=60_000)
    truth = 1 / (1 + np.exp(-2 * x + 1))
    knots = calibrate(np.rint(x * 2**30).astype(np.int64), (rng.random(60_000) < truth))
    at = np.interp(x * 2**30, knots.scores, knots.probabilities)
    assert np.abs(at - truth).mean() < 0.01


def test_one_class_alone_claims_no_certainty() -> None:
    knots = calibrate(np.arange(100), np.zeros(100, dtype=np.int8))
    assert knots.probabilities.tolist() == [0.5 / 101]


def test_without_labels_the_middle_score_is_at_one_half() -> None:
    knots = rank_table(np.arange(-500, 501))
    assert np.interp(0, knots.scores, knots.probabilities) == pytest.approx(0.5, abs=0.01)
