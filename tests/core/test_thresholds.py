"""baluarte.core.thresholds: every budget is kept by the threshold that was chosen for it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baluarte.core.bounds import smallest_rank
from baluarte.core.contract import (
    Band,
    Budget,
    BudgetKind,
    Contract,
    Gate,
    Learner,
    Objective,
    Points,
)
from baluarte.core.schema import Schema
from baluarte.core.threshold_search import EVERYTHING
from baluarte.core.thresholds import ProofSize, ScoredRows, fit_bands, fit_thresholds
from baluarte.errors import ContractError, DataError

PLENTY = ProofSize(negatives=1_000_000, rows=1_000_000)
NO_PROOF = ProofSize(negatives=0, rows=0)


def contract(*budgets: tuple[BudgetKind, float], **objective: object) -> Contract:
    bands = [Budget(kind=kind, value=value) for kind, value in budgets]
    return Contract(
        name="test",
        purpose="",
        owner="",
        events=Schema(fields=()),
        label=None,
        objective=Objective(budget=bands[0], **objective),
        bands=(Band(name="pass"), *(Band(name=f"b{i}", budget=b) for i, b in enumerate(bands))),
        points=Points(),
        learner=Learner(),
        gates=(Gate(name="recall"),),
    )


def rows(seed: int, n: int, *, share: float = 0.05, apart: float = 4.0) -> ScoredRows:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < share).astype(np.int8)
    scores = np.rint((rng.normal(size=n) + apart * labels) * 2**30).astype(np.int64)
    return ScoredRows(
        scores=scores,
        labels=labels,
        cost_missed=np.full(n, 10.0),
        cost_false_alarm=np.ones(n),
    )


TRAIN, CALIBRATION, WORLD = rows(1, 30_000), rows(2, 10_000), rows(3, 300_000)


def flagged(threshold: int, sample: ScoredRows = WORLD) -> np.ndarray:
    return sample.scores > threshold


def false_alarms(threshold: int) -> float:
    return float(flagged(threshold)[WORLD.labels == 0].mean())


def fit(
    one: Contract, sample: ScoredRows = TRAIN, proof: ProofSize = PLENTY
) -> tuple[tuple[int, ...], dict[str, float]]:
    values, figures = fit_thresholds(one, threshold=sample, grid=CALIBRATION.scores, proof=proof)
    return values, {figure.name: figure.value for figure in figures}


@given(
    scores=arrays(np.int64, st.integers(60, 300), elements=st.integers(-5, 5)),
    max_fpr=st.floats(0.05, 0.5),
)
def test_the_threshold_never_exceeds_the_budget_on_its_own_negatives(
    scores: np.ndarray, max_fpr: float
) -> None:
    sample = ScoredRows(scores=scores, labels=np.zeros(len(scores), dtype=np.int8))
    (value,), _ = fit(contract(("max_fpr", max_fpr)), sample, NO_PROOF)
    assert (scores > value).mean() <= max_fpr
    rank = smallest_rank(len(scores), max_fpr=max_fpr, confidence=0.95)
    assert value == np.sort(scores)[rank - 1]  # no proof rows: the umbrella at α itself


def test_with_nine_in_ten_scores_tied_the_budget_still_holds() -> None:
    rng = np.random.default_rng(4)
    tied = np.where(rng.random(20_000) < 0.9, 0, rng.integers(1, 1_000, 20_000))
    sample = ScoredRows(scores=tied, labels=np.zeros(20_000, dtype=np.int8))
    for max_fpr in (0.2, 0.11, 0.1, 0.05, 0.01):
        (value,), _ = fit(contract(("max_fpr", max_fpr)), sample)
        assert (tied > value).mean() <= max_fpr
        later = np.where(rng.random(200_000) < 0.9, 0, rng.integers(1, 1_000, 200_000))
        assert (later > value).mean() <= max_fpr


def test_proof_rows_to_come_make_the_threshold_a_little_stricter() -> None:
    proof = ProofSize(negatives=20_000, rows=21_000)
    (at_alpha,), _ = fit(contract(("max_fpr", 0.01)), proof=NO_PROOF)
    (planned,), figures = fit(contract(("max_fpr", 0.01)), proof=proof)
    assert planned > at_alpha
    assert figures["b0.threshold.planned_pass"] >= 0.9
    assert 0.005 < false_alarms(planned) < false_alarms(at_alpha) <= 0.0105


def test_too_few_negatives_say_how_many_more() -> None:
    with pytest.raises(DataError, match="more"):
        fit(contract(("max_fpr", 1e-4)), rows(1, 5_000))


def test_alerts_a_day_are_a_share_of_the_days_events() -> None:
    (value,), _ = fit(contract(("max_alerts_per_day", 300), events_per_day=10_000.0))
    assert 0.025 < flagged(value).mean() <= 0.03


def test_more_alerts_a_day_than_events_alert_on_everything() -> None:
    (value,), _ = fit(contract(("max_alerts_per_day", 300), events_per_day=200.0))
    assert value == EVERYTHING
    assert flagged(value).all()


def test_alerts_a_day_without_the_events_of_a_day_is_the_contracts_fault() -> None:
    with pytest.raises(ContractError, match="events a day"):
        fit(contract(("max_alerts_per_day", 300)))


def test_precision_is_kept_and_recall_is_not_thrown_away() -> None:
    (value,), figures = fit(contract(("min_precision", 0.9)))
    alerts = flagged(value)
    assert 0.9 <= WORLD.labels[alerts].mean() < 0.95
    assert alerts[WORLD.labels == 1].mean() > 0.85
    assert figures["b0.threshold.planned_pass"] >= 0.9


def test_precision_out_of_reach_says_what_was_reached() -> None:
    with pytest.raises(DataError, match="best lower bound"):
        fit(contract(("min_precision", 0.999)), rows(1, 20_000, apart=1.0))
    with pytest.raises(DataError, match=r"at least \d+ alerts.*Bring at least"):
        fit(contract(("min_precision", 0.999)), rows(1, 1_000))


def test_cost_is_kept_with_the_most_alerts_that_keep_it() -> None:
    (value,), _ = fit(contract(("max_cost", 0.08), max_event_cost=10.0))
    alerts = flagged(value)
    cost = np.where(WORLD.labels == 1, 10.0 * ~alerts, alerts).mean()
    assert 0.04 < cost <= 0.08
    assert alerts[WORLD.labels == 1].mean() > 0.97


def test_cost_out_of_reach_says_how_many_rows_would_do_or_that_none_would() -> None:
    with pytest.raises(DataError, match="threshold rows would do"):
        fit(contract(("max_cost", 0.04), max_event_cost=10.0), rows(1, 10_000))
    with pytest.raises(DataError, match="more rows won't do"):
        fit(contract(("max_cost", 0.001), max_event_cost=10.0))


def test_a_cost_above_the_stated_largest_is_refused() -> None:
    with pytest.raises(DataError, match="max_event_cost"):
        fit(contract(("max_cost", 0.08), max_event_cost=5.0))
    with pytest.raises(ContractError, match="max_event_cost"):
        fit(contract(("max_cost", 0.08), cost_missed="amount"))


def test_several_bands_share_the_confidence_and_ascend() -> None:
    both = contract(("max_fpr", 0.02), ("min_precision", 0.97))
    (low, high), figures = fit(both)
    (alone,), _ = fit(contract(("max_fpr", 0.02)))
    assert alone < low < high
    assert false_alarms(low) <= 0.02
    assert WORLD.labels[flagged(high)].mean() >= 0.97
    assert {name.split(".")[0] for name in figures} == {"b0", "b1"}


def test_a_wider_budget_above_a_strict_one_gives_an_empty_band_not_a_broken_order() -> None:
    (low, high), _ = fit(contract(("max_fpr", 0.01), ("max_fpr", 0.05)))
    assert low == high


def test_without_labels_false_alarms_and_alerts_a_day_still_work() -> None:
    unlabelled = ScoredRows(scores=TRAIN.scores, labels=None)
    (value,), _ = fit(contract(("max_fpr", 0.01)), unlabelled)
    assert flagged(value).mean() <= 0.01
    fit(contract(("max_alerts_per_day", 300), events_per_day=10_000.0), unlabelled)
    for kind in ("min_precision", "max_cost"):
        with pytest.raises(ContractError, match="labelled"):
            fit(contract((kind, 0.9)), unlabelled)


def test_all_tables_of_the_bands_come_together() -> None:
    one = contract(("max_fpr", 0.01))
    bands, figures = fit_bands(one, threshold=TRAIN, calibration=CALIBRATION, proof=PLENTY)
    assert bands.names == ("pass", "b0")
    assert bands.calibration == "isotonic"
    assert {figure.name for figure in figures} == {"b0.threshold.rate", "b0.threshold.planned_pass"}
    unlabelled = msgspec.structs.replace(one)
    blind = ScoredRows(scores=CALIBRATION.scores, labels=None)
    bands, _ = fit_bands(unlabelled, threshold=blind, calibration=blind, proof=PLENTY)
    assert bands.calibration == "quantile"
    empty = ScoredRows(scores=np.empty(0, np.int64), labels=np.empty(0, np.int8))
    with pytest.raises(DataError, match="calibration rows"):
        fit_bands(one, threshold=TRAIN, calibration=empty, proof=PLENTY)


@settings(max_examples=20)
@given(scale=st.integers(1, 2**20), offset=st.integers(-(2**40), 2**40))
def test_only_the_order_of_scores_matters(scale: int, offset: int) -> None:
    sample = rows(9, 2_000)
    moved = ScoredRows(scores=sample.scores * scale + offset, labels=sample.labels)
    (a,), _ = fit(contract(("max_fpr", 0.05)), sample)
    (b,), _ = fit(contract(("max_fpr", 0.05)), moved)
    assert b == a * scale + offset
