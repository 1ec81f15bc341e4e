"""Budgets of thresholds hold in simulated worlds, and the usual practice breaks them there."""

from __future__ import annotations

import numpy as np
import pytest

from baluarte.core.contract import Band, Budget, Contract, Learner, Objective, Points
from baluarte.core.schema import Schema
from baluarte.core.thresholds import ProofSize, ScoredRows, fit_thresholds
from baluarte.errors import DataError
from baluarte.testing import guarantees


def error(rate: float, n: int) -> float:
    """Three standard errors of a rate over n repetitions."""
    return 3 * (rate * (1 - rate) / n) ** 0.5


def test_in_2000_simulated_calibrations_the_budget_breaks_in_at_most_five_percent() -> None:
    shown = guarantees.budget(11, repetitions=2_000)
    assert shown.measured <= 0.05 + error(0.05, shown.n)
    assert shown.usual["empirical quantile"] > 0.4


@pytest.mark.soak
def test_in_100_000_simulated_calibrations_it_does_not_either() -> None:
    shown = guarantees.budget(12, repetitions=100_000)
    assert shown.measured <= 0.05 + error(0.05, shown.n)


def world(rng: np.random.Generator, n: int) -> ScoredRows:
    """Scores 0-99; an event of score s is an attack with probability (s / 100)³: all is known."""
    scores = rng.integers(0, 100, n)
    labels = (rng.random(n) < (scores / 100) ** 3).astype(np.int8)
    return ScoredRows(
        scores=scores, labels=labels, cost_missed=np.full(n, 3.0), cost_false_alarm=np.ones(n)
    )


def precision_above(threshold: int) -> float:
    s = np.arange(threshold + 1, 100) / 100
    return float((s**3).mean()) if len(s) else 1.0


def cost_at(threshold: int) -> float:
    s = np.arange(100) / 100
    alert = np.arange(100) > threshold
    return float(np.where(alert, 1 - s**3, 3 * s**3).mean())


def fitted(budget: Budget, rng: np.random.Generator) -> int | None:
    contract = Contract(
        name="world",
        purpose="",
        owner="",
        events=Schema(fields=()),
        label=None,
        objective=Objective(budget=budget, max_event_cost=3.0),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        points=Points(),
        learner=Learner(),
        gates=(),
    )
    try:
        (threshold,), _ = fit_thresholds(
            contract,
            threshold=world(rng, 3_000),
            grid=world(rng, 2_000).scores,
            proof=ProofSize(negatives=2_000, rows=3_000),
        )
    except DataError:
        return None
    return threshold


@pytest.mark.parametrize("runs", [150, pytest.param(3_000, marks=pytest.mark.soak)])
def test_a_precision_budget_is_broken_in_at_most_five_percent_of_worlds(runs: int) -> None:
    rng = np.random.default_rng(13)
    found = [fitted(Budget(kind="min_precision", value=0.75), rng) for _ in range(runs)]
    kept = [threshold for threshold in found if threshold is not None]
    assert len(kept) > 0.9 * runs
    assert np.mean([precision_above(t) < 0.75 for t in kept]) <= 0.05 + error(0.05, runs)


@pytest.mark.parametrize("runs", [300, pytest.param(5_000, marks=pytest.mark.soak)])
def test_a_cost_budget_is_broken_in_at_most_five_percent_of_worlds(runs: int) -> None:
    rng = np.random.default_rng(14)
    best = min(cost_at(t) for t in range(100))
    found = [fitted(Budget(kind="max_cost", value=best + 0.12), rng) for _ in range(runs)]
    kept = [threshold for threshold in found if threshold is not None]
    assert len(kept) > 0.9 * runs
    assert np.mean([cost_at(t) > best + 0.12 for t in kept]) <= 0.05
