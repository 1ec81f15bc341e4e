"""baluarte.core.promise_value: what trials are compared by, against its definition by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baluarte.core.beyond_chance import within_errors
from baluarte.core.contract import Budget, BudgetKind, Contract, Objective
from baluarte.core.promise_value import TuningRows, promise_value
from baluarte.testing.bundles import sample_contract


def contract(kind: BudgetKind, value: float) -> Contract:
    objective = Objective(budget=Budget(kind=kind, value=value), events_per_day=1_000.0)
    return msgspec.structs.replace(sample_contract(), objective=objective)


def rows(y: np.ndarray, weights: np.ndarray | None = None) -> TuningRows:
    n = len(y)
    return TuningRows(
        labels=y.astype(np.int8),
        weights=np.ones(n) if weights is None else weights,
        cost_missed=np.full(n, 10.0),
        cost_false_alarm=np.ones(n),
    )


@settings(deadline=None, max_examples=60)
@given(
    scores=st.lists(st.integers(0, 9), min_size=4, max_size=60),
    seed=st.integers(0, 99),
    limit=st.floats(0.05, 0.4),
)
def test_it_is_mean_recall_about_the_budget_and_average_precision(
    scores: list[int], seed: int, limit: float
) -> None:
    s = np.array(scores, dtype=np.float64)
    y = (np.random.default_rng(seed).random(len(s)) < 0.5).astype(int)
    y[:2] = 0, 1
    value, figures = promise_value(contract("max_fpr", limit), rows(y), s)
    recalls = []
    for factor in (0.5, 1.0, 2.0):
        allowed = [
            np.mean(s[y == 1] >= cut)
            for cut in np.unique(s)
            if np.sum(s[y == 0] >= cut) <= factor * limit * np.sum(y == 0)
        ]
        recalls.append(max(allowed, default=0.0))
    precision, reached = 0.0, 0.0
    for cut in np.unique(s)[::-1]:
        recall = np.mean(s[y == 1] >= cut)
        precision += (recall - reached) * np.mean(y[s >= cut])
        reached = recall
    assert figures["value_under_max_fpr"] == pytest.approx(np.mean(recalls))
    assert figures["average_precision"] == pytest.approx(precision)
    assert value == pytest.approx(0.5 * np.mean(recalls) + 0.5 * precision)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [("max_fpr", 0.1), ("max_alerts_per_day", 300.0), ("min_precision", 0.7), ("max_cost", 1.0)],
)
def test_a_weight_stands_for_that_many_rows(kind: BudgetKind, limit: float) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.3).astype(int)
    s = np.round(rng.normal(size=200) + y, 1)
    times = np.where(y == 1, 1, 3)
    weighted, _ = promise_value(contract(kind, limit), rows(y, times.astype(np.float64)), s)
    repeated, _ = promise_value(
        contract(kind, limit), rows(np.repeat(y, times)), np.repeat(s, times)
    )
    assert weighted == pytest.approx(repeated)


@pytest.mark.parametrize("kind", ["max_fpr", "max_alerts_per_day", "min_precision", "max_cost"])
def test_perfect_scores_reach_one_and_useless_ones_do_not(kind: BudgetKind) -> None:
    limit = {"max_fpr": 0.01, "max_alerts_per_day": 600.0, "min_precision": 0.9, "max_cost": 1.0}
    y = np.repeat([0, 1], [700, 300])
    of = contract(kind, limit[kind])
    perfect, _ = promise_value(of, rows(y), y.astype(np.float64))
    if kind == "max_cost":
        assert perfect == pytest.approx(1.0)
    else:
        assert perfect > 0.99
    assert promise_value(of, rows(y), np.zeros(1_000))[0] < 0.9


def test_rows_of_no_weight_say_nothing_wherever_they_rank() -> None:
    y, s = np.array([0, 1, 0, 1, 0, 1]), np.array([1.0, 2.0, 9.0, 9.5, 0.5, 3.0])
    counted = np.array([1.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    of = contract("max_fpr", 0.1)
    kept = counted > 0
    assert promise_value(of, rows(y, counted), s)[0] == promise_value(of, rows(y[kept]), s[kept])[0]


def test_equal_scores_are_within_any_error_and_much_worse_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(2_000) < 0.3).astype(int)
    good, bad = rng.normal(size=2_000) + 3 * y, rng.normal(size=2_000) + 0.5 * y
    of = contract("max_fpr", 0.05)
    assert within_errors(of, rows(y), good, good, errors=0.0)
    assert within_errors(of, rows(y), good, good + 1e-9 * rng.normal(size=2_000), errors=1.0)
    assert not within_errors(of, rows(y), good, bad, errors=2.0)
    assert within_errors(of, rows(y), bad, good, errors=0.0)
