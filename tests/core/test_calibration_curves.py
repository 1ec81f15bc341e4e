"""baluarte.core.calibration_curves: monotone tables whose probabilities are near the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baluarte.core.bands import Bands, dumps, loads, point_cuts
from baluarte.core.calibration import Knots, calibrate
from baluarte.core.calibration_curves import beta, platt
from baluarte.core.contract import Points
from baluarte.core.logistic_fit import nonnegative_logistic

UNIT = 2.0**30
ROW = st.tuples(st.integers(-(2**50), 2**50), st.booleans())


def drawn(n: int, truth: object, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = 3.0 * rng.normal(size=n)
    p = 1.0 / (1.0 + np.exp(-truth(x)))  # type: ignore[operator]
    return np.rint(x * UNIT).astype(np.int64), (rng.random(n) < p).astype(np.int8)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.8 * x - 2.0


def bent(x: np.ndarray) -> np.ndarray:
    """Steep among the low scores, flat among the high ones."""
    return -2.0 * np.logaddexp(0, -x) + 0.5 * np.logaddexp(0, x) - 1.0


def off(knots: Knots, truth: object) -> float:
    at = np.linspace(-5, 5, 101)
    said = np.interp(at * UNIT, knots.scores, knots.probabilities)
    return float(np.abs(said - 1.0 / (1.0 + np.exp(-truth(at)))).mean())  # type: ignore[operator]


def test_platt_finds_the_sigmoid_that_made_the_labels() -> None:
    assert np.mean([off(platt(*drawn(2_000, sigmoid, seed)), sigmoid) for seed in range(10)]) < 0.01


def test_beta_bends_where_platt_cannot() -> None:
    errors = {
        kind: np.mean([off(kind(*drawn(2_000, bent, seed)), bent) for seed in range(10)])
        for kind in (platt, beta, calibrate)
    }
    assert errors[beta] < 0.015
    assert errors[beta] < errors[platt]
    assert errors[beta] < errors[calibrate]


def test_of_few_rows_a_curve_is_nearer_than_steps() -> None:
    steps, curve = (
        np.mean([off(kind(*drawn(150, sigmoid, seed)), sigmoid) for seed in range(20)])
        for kind in (calibrate, platt)
    )
    assert curve < steps


@pytest.mark.parametrize("kind", [platt, beta])
@given(
    rows=st.lists(st.tuples(st.integers(-(2**50), 2**50), st.booleans()), min_size=1, max_size=40)
)
def test_whatever_the_rows_the_table_is_one_that_a_bundle_can_hold(
    kind: object, rows: list[tuple[int, bool]]
) -> None:
    scores = np.array([score for score, _ in rows], np.int64)
    labels = np.array([hit for _, hit in rows], np.int8)
    knots: Knots = kind(scores, labels)  # type: ignore[operator]
    bands = Bands(
        names=("pass", "alert"),
        thresholds=(0,),
        knot_scores=tuple(knots.scores.tolist()),
        knot_probabilities=tuple(knots.probabilities.tolist()),
        point_cuts=point_cuts(knots, Points()),
        calibration="platt",
    )
    assert loads(dumps(bands)) == bands


def test_columns_that_would_turn_round_are_left_out_of_the_regression() -> None:
    rng = np.random.default_rng(5)
    Z = rng.normal(size=(3_000, 3))
    odds = 1.5 * Z[:, 0] - 1.0 * Z[:, 1] + 0.5
    y = (rng.random(3_000) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    intercept, found = nonnegative_logistic(Z, y, np.ones(3_000))
    assert found[0] == pytest.approx(
        1.25, abs=0.2
    )  # without the second column the first is flatter
    assert found[1] == 0.0
    assert 0.0 <= found[2] < 0.15
    assert intercept == pytest.approx(0.4, abs=0.15)


def test_rows_that_are_told_apart_perfectly_have_finite_odds() -> None:
    Z = np.linspace(-1, 1, 200)[:, None]
    intercept, found = nonnegative_logistic(Z, (Z[:, 0] > 0).astype(np.int8), np.ones(200))
    assert np.isfinite(found[0])
    assert np.isfinite(intercept)
    assert found[0] > 0
