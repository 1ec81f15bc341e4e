"""baluarte.stages.plan: what the data are, what the contract needs, what stands in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import msgspec
import numpy as np
import pytest

from baluarte.core.contract import Accept, Band, Budget, Contract, Gate, Objective
from baluarte.core.event import Events
from baluarte.core.evidence import Finding
from baluarte.methods.checks.constant import Constant
from baluarte.methods.checks.label_copy import LabelCopy
from baluarte.methods.gates.false_alarms import FalseAlarms
from baluarte.methods.gates.recall import Recall
from baluarte.stages.plan import PlanResult, plan
from baluarte.testing.checks import check_contract, check_events

GATES = {"recall": Recall(), "false_alarms": FalseAlarms()}
CHECKS = [Constant(), LabelCopy()]


def contract(max_fpr: float = 0.01, min_recall: float = 0.95, **changes: object) -> Contract:
    budget = Budget(kind="max_fpr", value=max_fpr)
    return msgspec.structs.replace(
        check_contract(timed=False),
        objective=Objective(budget=budget, min_recall=min_recall),
        bands=(Band(name="pass"), Band(name="alert", budget=budget)),
        gates=(Gate(name="recall"), Gate(name="false_alarms"), Gate(name="latency")),
        **changes,
    )


def planned(n: int = 20_000, **changes: object) -> PlanResult:
    asked = contract(**changes)  # type: ignore[arg-type]
    return plan(asked, check_events(n), checks=CHECKS, gates=GATES)


def with_leak(n: int = 3_000) -> Events:
    events = check_events(n)
    leak = (events.columns["label"] == "1").astype(np.float64)
    return replace(events, columns={**events.columns, "count": leak, "night": np.zeros(n)})


def test_the_counts_are_those_of_the_events() -> None:
    result = planned(n=3_000)
    labels = check_events(3_000).columns["label"].tolist()
    assert result.counts.positives == labels.count("1")
    assert result.counts.negatives == labels.count("0")
    assert result.counts.unlabelled == 0
    assert result.counts.features == 5
    assert sum(sum(pair) for pair in result.parts.values()) == 3_000


def test_a_block_stands_in_the_way_until_it_is_accepted_by_name() -> None:
    blocked = plan(contract(), with_leak(), checks=CHECKS, gates={})
    assert "label_copy_copy_count" in blocked.blocking
    assert blocked.findings[0].check == "label_copy.copy"
    assert "constant" in [finding.check for finding in blocked.findings]
    accept = (Accept(finding="label_copy_copy_count", reason="known when deciding"),)
    accepted = plan(contract(accept=accept), with_leak(), checks=CHECKS, gates={})
    assert "label_copy_copy_count" not in accepted.blocking
    assert accepted.accepted == {"label_copy_copy_count": "known when deciding"}


def test_an_acceptance_of_what_is_not_found_is_not_listed() -> None:
    accept = (Accept(finding="constant_amount", reason="old"),)
    assert planned(n=3_000, accept=accept).accepted == {}


def test_each_look_needs_more_rows_than_the_one_before() -> None:
    result = planned()
    recall = [need for need in result.needs if need.gate == "recall"]
    assert [need.look for need in recall] == [1, 2, 5]
    # Positives for power .8 at the planned truth .97 of asked .95 (core/bounds).
    assert [need.positives for need in recall] == [722, 1_059, 1_496]
    assert {need.gate for need in result.needs} == {"recall", "false_alarms"}


def test_looks_spent_move_the_needs_on() -> None:
    result = plan(contract(), check_events(), checks=[], gates=GATES, looks_spent=1)
    assert result.next_look == 2
    assert [need.look for need in result.needs if need.gate == "recall"] == [2, 3, 6]


def test_too_few_rows_for_a_gate_are_a_warning_that_says_how_many() -> None:
    result = planned(n=20_000)
    (short,) = [f for f in result.findings if f.check == "needs.short" and f.field == "recall"]
    assert short.level == "warn"
    assert short.values["n"] == 722
    assert short.values["found"] == result.parts["proof"][1]
    assert short.values["look"] == 1


def test_rows_that_can_set_no_threshold_block() -> None:
    result = planned(n=3_000, max_fpr=0.0001)
    assert result.threshold is not None
    assert not result.threshold.certifiable
    assert "needs_threshold" in result.blocking


def test_enough_rows_give_the_rate_that_the_threshold_is_set_for() -> None:
    threshold = planned(n=40_000).threshold
    assert threshold is not None
    assert threshold.alpha is not None
    assert threshold.power is not None
    assert 0 < threshold.alpha <= 0.01
    assert threshold.power >= 0.9


def test_a_holdout_of_its_own_is_what_the_proof_counts_on() -> None:
    holdout = check_events(9_000)
    result = plan(contract(), check_events(), checks=[], gates=GATES, holdout=holdout)
    labels = holdout.columns["label"].tolist()
    assert result.parts["proof"] == (labels.count("0"), labels.count("1"))


def test_no_events_are_a_plan_too() -> None:
    result = planned(n=0)
    assert result.counts.events == 0
    assert result.how is None
    assert result.threshold is None


def test_the_plan_goes_through_json() -> None:
    result = plan(contract(), with_leak(), checks=CHECKS, gates=GATES)
    assert msgspec.json.decode(msgspec.json.encode(result), type=PlanResult) == result


def test_every_field_is_looked_at_alone() -> None:
    looks = {look.name: look for look in plan(contract(), with_leak(), checks=[], gates={}).fields}
    assert looks["count"].auc == 1.0
    assert looks["count"].distinct == 2
    assert looks["amount"].missing == pytest.approx(0.01, abs=0.005)


def test_progress_says_every_step() -> None:
    class Steps:
        seen: ClassVar[list[tuple[int, int, str]]] = []

        def step(self, done: int, total: int, note: str = "") -> None:
            self.seen.append((done, total, note))

    plan(contract(), check_events(500), checks=CHECKS, gates={}, progress=Steps())
    assert Steps.seen == [(0, 3, "constant"), (1, 3, "label_copy"), (3, 3, "")]


def test_findings_come_worst_first() -> None:
    class Some:
        name: ClassVar[str] = "some"

        def findings(self, contract: Contract, events: Events) -> list[Finding]:
            return [Finding(check="some", level="block"), Finding(check="some", level="note")]

    levels = [
        f.level for f in plan(contract(), with_leak(), checks=[*CHECKS, Some()], gates={}).findings
    ]
    assert levels == sorted(levels, key=["block", "warn", "note"].index)
