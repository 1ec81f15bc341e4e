"""The e-detector keeps its promise on iid streams, notices changes, and says when it can't."""

from __future__ import annotations

import numpy as np
import pytest

from baluarte.errors import DataError
from baluarte.methods.drift.e_detector import EDetector
from baluarte.methods.drift.ks import KolmogorovSmirnov
from baluarte.testing import guarantees
from baluarte.testing.guarantees import Stream


@pytest.mark.parametrize(
    ("events", "columns"),
    [(150_000, 10), pytest.param(2_000_000, 41, marks=pytest.mark.soak)],
)
def test_false_alarms_stay_below_the_promise_where_p_values_alarm_all_day(
    events: int, columns: int
) -> None:
    shown = guarantees.quiet(
        EDetector(), KolmogorovSmirnov(), 31, events=events, arl=25_000, columns=columns
    )
    assert shown.measured <= shown.promised
    assert shown.usual["ks p < .05 each 1000 events"] > 0.2 * events / 1_000


def test_over_many_baselines_false_alarms_stay_below_the_promise() -> None:
    alarms, events, arl, baselines = 0, 40_000, 2_000, 12
    for seed in range(baselines):
        stream = Stream(seed, 6)
        X, scores = stream.draw(4_000)
        detector = EDetector()
        names = {"names": stream.names, "categorical": stream.categorical}
        monitor = detector.open(detector.arm(X, scores, **names, arl=arl))
        alarms += len(monitor.update(*stream.draw(events)))
    assert alarms <= baselines * events / arl


def test_changes_are_noticed_within_their_measured_delays() -> None:
    found = guarantees.delays(
        EDetector(),
        32,
        arl=1e6,
        shifts=(0.1, 0.25, 0.5),
        families=(0.02, 0.005),
        repetitions=3,
        columns=16,
    )
    # Medians of three; measured in design: 4,000 · 750 · 250 and 625 · 6,250 on 41 columns.
    assert found["shift 0.1 sd"] <= 10_000
    assert found["shift 0.25 sd"] <= 1_500
    assert found["shift 0.5 sd"] <= 500
    assert found["new family 2.0%"] <= 3_000
    assert found["new family 0.5%"] <= 25_000


def dependent(n: int, seed: int) -> np.ndarray:
    """An AR(.9) stream of six columns: each event resembles the one before."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 6)) * (1 - 0.9**2) ** 0.5
    X = np.empty((n, 6))
    X[0] = rng.normal(size=6)
    for i in range(1, n):
        X[i] = 0.9 * X[i - 1] + noise[i]
    return X


def test_it_does_not_arm_on_events_that_depend_on_one_another_in_time() -> None:
    X = dependent(30_000, 0)
    with pytest.raises(DataError, match=r"does not arm.*held-out"):
        EDetector().arm(
            X, np.zeros(len(X), np.int64), names=list("abcdef"), categorical=[False] * 6, arl=1e6
        )


def test_it_arms_on_the_same_events_in_random_order() -> None:
    X = np.random.default_rng(1).permutation(dependent(30_000, 0))
    EDetector().arm(
        X, np.zeros(len(X), np.int64), names=list("abcdef"), categorical=[False] * 6, arl=1e6
    )
