"""baluarte.methods.gates: each gate's own limits, bands and segments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from baluarte.core.bounds import clopper_pearson_high, clopper_pearson_low
from baluarte.core.contract import (
    Band,
    Budget,
    Contract,
    Gate,
    Learner,
    Objective,
    Points,
)
from baluarte.core.cost_bound import events_needed, mean_high
from baluarte.core.proof_rows import ProofRows
from baluarte.core.schema import Schema
from baluarte.errors import ContractError
from baluarte.methods.gates.cost import Cost
from baluarte.methods.gates.false_alarms import FalseAlarms
from baluarte.methods.gates.latency import Latency
from baluarte.methods.gates.precision import Precision
from baluarte.methods.gates.recall import Recall
from baluarte.testing.gates import proof_rows


def contract(*budgets: Budget, **objective: object) -> Contract:
    first = budgets[0] if budgets else Budget(kind="max_fpr", value=0.01)
    upper = [Band(name=f"b{i}", budget=budget) for i, budget in enumerate(budgets or (first,))]
    return Contract(
        name="test",
        purpose="",
        owner="",
        events=Schema(fields=()),
        label=None,
        objective=Objective(budget=first, **objective),
        bands=(Band(name="pass"), *upper),
        points=Points(),
        learner=Learner(),
        gates=(),
    )


def test_recall_without_its_own_limit_is_the_objectives() -> None:
    rows = proof_rows(1_000, 10, missed=20)
    (result,) = Recall().judge(Gate(name="recall"), contract(min_recall=0.95), rows, alpha=0.05)
    assert (result.limit, result.verdict) == (0.95, "pass")
    assert result.bound == clopper_pearson_low(980, 1_000, 0.05)
    (result,) = Recall().judge(
        Gate(name="recall", min=0.98), contract(min_recall=0.95), rows, alpha=0.05
    )
    assert (result.limit, result.verdict) == (0.98, "not_enough_data")
    with pytest.raises(ContractError, match="min"):
        Recall().judge(Gate(name="recall"), contract(), rows, alpha=0.05)


def test_by_segment_every_segment_is_judged_on_its_share_of_alpha() -> None:
    rows = proof_rows(4_000, 10, missed=100, segment=lambda row: "new" if row < 400 else "old")
    gate = Gate(name="recall", min=0.95, by="segment")
    new, old = Recall().judge(gate, contract(), rows, alpha=0.05)
    assert (new.segment, new.figure.n, old.segment, old.figure.n) == ("new", 400, "old", 3_600)
    assert (new.verdict, old.verdict) == ("not_enough_data", "pass")
    assert new.bound == clopper_pearson_low(300, 400, 0.025)


def test_false_alarms_are_counted_on_rows_that_are_no_attack() -> None:
    rows = proof_rows(500, 3_000, false_alarms=3)
    (result,) = FalseAlarms().judge(Gate(name="false_alarms"), contract(), rows, alpha=0.05)
    assert result.figure.name == "false_alarm_rate"
    assert result.bound == clopper_pearson_high(3, 3_000, 0.05)
    assert result.verdict == "pass"
    assert result.segment is None


def test_alerts_a_day_are_counted_on_all_rows() -> None:
    per_day = contract(Budget(kind="max_alerts_per_day", value=200), events_per_day=10_000.0)
    rows = proof_rows(10, 9_990, false_alarms=100)
    (result,) = FalseAlarms().judge(Gate(name="false_alarms"), per_day, rows, alpha=0.05)
    assert (result.figure.name, result.limit, result.figure.n) == ("alert_rate", 0.02, 10_000)
    assert result.bound == clopper_pearson_high(110, 10_000, 0.05)


def test_each_band_is_judged_by_its_own_budget() -> None:
    two = contract(Budget(kind="max_fpr", value=0.02), Budget(kind="max_fpr", value=0.001))
    rows = proof_rows(100, 20_000, false_alarms=200)
    wide, strict = FalseAlarms().judge(Gate(name="false_alarms"), two, rows, alpha=0.05)
    assert (wide.segment, wide.limit, wide.figure.value) == ("b0", 0.02, 0.01)
    assert (strict.segment, strict.limit, strict.figure.value) == ("b1", 0.001, 0.0)
    assert {wide.verdict, strict.verdict} == {"pass"}
    (own,) = FalseAlarms().judge(Gate(name="false_alarms", max=0.005), two, rows, alpha=0.05)
    assert own.verdict == "fail"


def test_gates_without_anything_to_judge_are_the_contracts_fault() -> None:
    only_precision = contract(Budget(kind="min_precision", value=0.9))
    with pytest.raises(ContractError, match="max"):
        FalseAlarms().judge(Gate(name="false_alarms"), only_precision, proof_rows(9, 9), alpha=0.05)
    with pytest.raises(ContractError, match="min"):
        Precision().judge(Gate(name="precision"), contract(), proof_rows(9, 9), alpha=0.05)


def test_precision_is_judged_on_alerts_and_its_rows_on_attacks() -> None:
    rows = proof_rows(1_000, 9_000, missed=100, false_alarms=20)
    budget = contract(Budget(kind="min_precision", value=0.95))
    (result,) = Precision().judge(Gate(name="precision"), budget, rows, alpha=0.05)
    assert (result.figure.n, result.verdict) == (920, "pass")
    assert result.bound == clopper_pearson_low(900, 920, 0.05)
    silent = proof_rows(1_000, 9_000, missed=1_000)
    (result,) = Precision().judge(Gate(name="precision"), budget, silent, alpha=0.05)
    assert (result.figure.n, result.verdict) == (0, "fail")


def test_the_latency_bound_is_above_the_true_p99_as_often_as_it_says() -> None:
    rng, truth, below, runs = np.random.default_rng(0), float(stats.lognorm.ppf(0.99, 1)), 0, 1_500
    empty = proof_rows(0, 0)
    for _ in range(runs):
        rows = ProofRows(
            scores=empty.scores, labels=empty.labels, bands=empty.bands,
            latency_ms=rng.lognormal(size=800),
        )  # fmt: skip
        (result,) = Latency().judge(Gate(name="latency", max=10.0), contract(), rows, alpha=0.05)
        assert result.bound is not None
        below += result.bound < truth
    assert below / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_too_few_times_are_too_few() -> None:
    rows = ProofRows(
        scores=np.empty(0, np.int64), labels=np.empty(0, np.int8), bands=np.empty(0, np.int64),
        latency_ms=np.full(200, 0.1),
    )  # fmt: skip
    (result,) = Latency().judge(Gate(name="latency", max=1.0), contract(), rows, alpha=0.05)
    assert (result.verdict, result.needed) == ("not_enough_data", 99)


def test_the_rows_needed_grow_with_what_is_asked() -> None:
    gate = Gate(name="recall", min=0.95)
    assert Recall().needed(gate, contract(), alpha=0.05) == (601, 0)
    positives, negatives = FalseAlarms().needed(Gate(name="false_alarms"), contract(), alpha=0.05)
    assert positives == 0
    assert 2_000 < negatives < 6_000


# --- cost ----------------------------------------------------------------------------------------


def test_the_mean_cost_counts_missed_attacks_and_false_alarms_at_their_price() -> None:
    priced = contract(Budget(kind="max_cost", value=0.5), cost_missed=20.0)
    rows = proof_rows(100, 9_900, missed=10, false_alarms=100, cost_missed=20.0)
    (result,) = Cost().judge(Gate(name="cost"), priced, rows, alpha=0.05)
    assert result.figure.value == pytest.approx((10 * 20 + 100) / 10_000)
    assert result.bound is not None
    assert result.figure.value < result.bound <= 0.5
    assert result.verdict == "pass"
    (result,) = Cost().judge(Gate(name="cost", max=0.02), priced, rows, alpha=0.05)
    assert (result.limit, result.verdict) == (0.02, "not_enough_data")


def test_a_higher_band_is_judged_as_if_alerts_began_there() -> None:
    banded = contract(Budget(kind="max_cost", value=0.9), Budget(kind="max_cost", value=0.8))
    rows = proof_rows(5_000, 5_000)  # every attack is in the first band, none above it
    review, decline = Cost().judge(Gate(name="cost"), banded, rows, alpha=0.05)
    assert (review.segment, review.figure.value) == ("b0", 0.0)
    assert (decline.segment, decline.figure.value) == ("b1", 0.5)


def test_a_cost_gate_without_a_limit_or_with_an_unbounded_cost_is_a_contract_error() -> None:
    rows = proof_rows(10, 10)
    with pytest.raises(ContractError, match="nothing to judge"):
        Cost().judge(Gate(name="cost"), contract(), rows, alpha=0.05)
    amount = contract(Budget(kind="max_cost", value=0.5), cost_missed="amount")
    with pytest.raises(ContractError, match="largest cost"):
        Cost().judge(Gate(name="cost"), amount, rows, alpha=0.05)


@pytest.mark.parametrize("runs", [400, pytest.param(20_000, marks=pytest.mark.soak)])
def test_a_detector_that_costs_more_than_promised_passes_in_at_most_alpha_of_worlds(
    runs: int,
) -> None:
    rng, most, alpha = np.random.default_rng(3), 50.0, 0.05

    def costs(n: int, scale: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        hit = rng.random(n) < 0.04
        return np.where(hit, np.minimum(rng.lognormal(2.0, 1.0, n), most), 0.0) * scale

    truth = float(costs(4_000_000, 1.0).mean())
    passed = [mean_high(costs(3_000, 1.0), most=most, alpha=alpha) <= truth for _ in range(runs)]
    assert np.mean(passed) <= alpha + 3 * (alpha * (1 - alpha) / runs) ** 0.5
    limit = truth / 0.6  # the planned truth: 40 % below the limit
    n = events_needed(limit, most=most, alpha=alpha)
    good = [mean_high(costs(n, 1.0), most=most, alpha=alpha) <= limit for _ in range(100)]
    assert np.mean(good) >= 0.8
