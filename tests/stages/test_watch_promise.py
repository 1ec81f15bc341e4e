"""baluarte.stages.watch: what labels say of each kind of promise, and how often it is wrong."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Budget, Contract, Objective
from baluarte.errors import ContractError
from baluarte.stages.watch import Decided, Kept, promise
from baluarte.testing.bundles import sample_contract


def contract(objective: Objective) -> Contract:
    return msgspec.structs.replace(sample_contract(), objective=objective)


def only(kept: tuple[Kept, ...]) -> Kept:
    (one,) = kept
    return one


ALERTS = Objective(budget=Budget(kind="max_alerts_per_day", value=20.0), events_per_day=1_000.0)
COST = Objective(
    budget=Budget(kind="max_cost", value=2.0),
    cost_missed="amount",
    cost_false_alarm=5.0,
    max_event_cost=500.0,
)


def test_alerts_a_day_are_counted_over_all_decisions_labelled_or_not() -> None:
    many = [Decided(band=i % 20 == 0, label=None) for i in range(4_000)]
    said = promise(contract(ALERTS), many, look=1)
    kept = only(said.figures)
    assert (kept.figure.name, kept.figure.value, kept.limit) == ("alert_rate", 0.05, 0.02)
    assert said.broken
    assert said.n_labelled == 0
    few = [Decided(band=0, label=None)] * 4_000
    assert only(promise(contract(ALERTS), few, look=1).figures).state == "kept"


def test_the_mean_cost_is_of_wrong_decisions_and_broken_only_by_its_bound() -> None:
    missed = Decided(band=0, label=1, cost_missed=400.0, cost_false_alarm=5.0)
    flagged = Decided(band=1, label=0, cost_missed=400.0, cost_false_alarm=5.0)
    right = Decided(band=0, label=0, cost_missed=400.0, cost_false_alarm=5.0)
    some = promise(contract(COST), [missed, flagged, *[right] * 98], look=1)
    assert only(some.figures).figure.value == pytest.approx(4.05)
    assert only(some.figures).state == "open"
    many = promise(contract(COST), [missed, flagged, *[right] * 8] * 2_000, look=1)
    assert only(many.figures).state == "broken"
    good = promise(contract(COST), [flagged, *[right] * 99] * 200, look=1)
    assert only(good.figures).state == "kept"


def test_an_event_whose_amount_was_erased_says_nothing_of_the_cost() -> None:
    gone = Decided(band=0, label=1, cost_missed=None, cost_false_alarm=5.0)
    assert promise(contract(COST), [gone], look=1).figures == ()


def test_a_cost_in_a_field_needs_its_largest_value() -> None:
    unbounded = msgspec.structs.replace(COST, max_event_cost=None)
    one = Decided(band=0, label=1, cost_missed=1.0, cost_false_alarm=5.0)
    with pytest.raises(ContractError, match="largest cost of one event"):
        promise(contract(unbounded), [one], look=1)


@pytest.mark.parametrize("kind", ["alerts", "cost"])
def test_a_promise_that_just_holds_is_called_broken_in_few_of_many_histories(kind: str) -> None:
    """At α = .05 over ten looks, in at most 8 % of 300 histories: chance adds some to 5 %."""
    rng = np.random.default_rng(4)
    broken = 0
    for _ in range(300):
        if kind == "alerts":  # exactly 20 of 1,000
            drawn = [Decided(band=int(x), label=None) for x in rng.random(3_000) < 0.02]
            said = [promise(contract(ALERTS), drawn[: 300 * k], look=k) for k in range(1, 11)]
        else:  # one in 125 attacks is missed and costs 250 on the average: 2 an event
            amount = rng.uniform(0, 500, 3_000)
            drawn = [
                Decided(band=0, label=1 if hit else 0, cost_missed=a, cost_false_alarm=5.0)
                for hit, a in zip(rng.random(3_000) < 2 / 250, amount.tolist(), strict=True)
            ]
            said = [promise(contract(COST), drawn[: 300 * k], look=k) for k in range(1, 11)]
        broken += any(one.broken for one in said)
    assert broken <= 24
