"""baluarte.core.curves, baluarte.core.metrics: figures that others compute too, with intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as theirs

from baluarte.core.curves import (
    average_precision,
    coarse,
    curve,
    partial_auc,
    recall_at,
    roc_auc,
)
from baluarte.core.evidence import Figure
from baluarte.core.metrics import area, at_band, measure
from baluarte.errors import DataError


@given(
    scores=arrays(np.int64, st.integers(2, 80), elements=st.integers(-6, 6)),
    max_fpr=st.floats(0.01, 1),
    data=st.data(),
)
def test_readings_of_the_curve_are_those_of_scikit_learn(
    scores: np.ndarray, max_fpr: float, data: st.DataObject
) -> None:
    labels = data.draw(arrays(np.int8, len(scores), elements=st.integers(0, 1)))
    labels[:2] = 0, 1
    c = curve(scores, labels)
    assert roc_auc(c) == pytest.approx(theirs.roc_auc_score(labels, scores))
    assert average_precision(c) == pytest.approx(theirs.average_precision_score(labels, scores))
    fpr, tpr, _ = theirs.roc_curve(labels, scores, drop_intermediate=False)
    assert recall_at(c, max_fpr) == pytest.approx(tpr[fpr <= max_fpr].max())
    x = np.append(fpr[fpr <= max_fpr], max_fpr)
    y = np.append(tpr[fpr <= max_fpr], np.interp(max_fpr, fpr, tpr))
    assert partial_auc(c, max_fpr) == pytest.approx(theirs.auc(x, y) / max_fpr)


def simulated(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.2).astype(np.int8)
    return np.rint((rng.normal(size=n) + labels) * 50).astype(np.int64), labels


def test_a_coarse_curve_reads_nearly_the_same() -> None:
    scores, labels = simulated(0, 60_000)
    fine = curve(scores * 1_000 + np.arange(60_000) % 1_000, labels)
    rough = coarse(fine, 1_000)
    assert len(rough.attacks) <= 1_000
    assert rough.attacks[-1] == fine.attacks[-1]
    assert roc_auc(rough) == pytest.approx(roc_auc(fine), abs=1e-4)
    assert recall_at(rough, 0.01) == pytest.approx(recall_at(fine, 0.01), abs=0.01)


def figures(seed: int, n: int = 3_000) -> dict[str, Figure]:
    scores, labels = simulated(seed, n)
    bands = (scores > 60).astype(np.int64) + (scores > 120)
    found = measure(
        scores,
        labels,
        bands,
        1 / (1 + np.exp(-scores / 50)),
        names=("approve", "review", "decline"),
        max_fpr=0.05,
        confidence=0.95,
        rng=np.random.default_rng(seed),
    )
    return {figure.name: figure for figure in found}


def test_every_figure_has_its_interval_and_method() -> None:
    found = figures(1)
    assert set(found) == {
        "recall", "precision", "false_alarm_rate", "f1",
        "recall.decline", "precision.decline", "false_alarm_rate.decline", "f1.decline",
        "roc_auc", "average_precision", "partial_auc.0.05", "recall_at_fpr.0.05", "brier",
    }  # fmt: skip
    for figure in found.values():
        assert figure.low is not None
        assert figure.high is not None
        assert 0 <= figure.low <= figure.value <= figure.high <= 1
        assert figure.method
        assert figure.n > 0


def test_equal_seeds_give_equal_figures() -> None:
    assert figures(2) == figures(2)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth = {name: figure.value for name, figure in figures(0, n=1_000_000).items()}
    runs, missed = 60, dict.fromkeys(truth, 0)
    for seed in range(1, runs + 1):
        for name, figure in figures(seed, n=1_500).items():
            missed[name] += not figure.low <= truth[name] <= figure.high
    # .05 and three standard errors of 60 runs; the bootstrap's percentile is the loosest of them.
    assert max(missed.values()) / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5, missed


def test_a_perfect_ranking_of_few_rows_is_not_called_certain() -> None:
    figure = area(np.arange(20), (np.arange(20) >= 10).astype(np.int8), confidence=0.95)
    assert figure.value == 1
    assert figure.low == pytest.approx(0.025 ** (1 / 10))


def test_no_alerts_at_all_are_zero_precision_known_to_nobody() -> None:
    labels = np.array([0, 1, 0, 1], dtype=np.int8)
    found = {f.name: f for f in at_band(labels, np.zeros(4, dtype=bool), confidence=0.95)}
    assert (found["precision"].low, found["precision"].high) == (0, 1)
    assert found["f1"].value == 0


def test_rows_of_one_class_are_refused() -> None:
    zeros = np.zeros(5, dtype=np.int8)
    with pytest.raises(DataError, match="found 0 attacks in 5 rows"):
        measure(
            np.arange(5), zeros, np.zeros(5, np.int64), np.zeros(5),
            names=("pass", "alert"), max_fpr=0.1, confidence=0.95, rng=np.random.default_rng(0),
        )  # fmt: skip
