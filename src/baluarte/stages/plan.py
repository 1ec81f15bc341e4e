"""Plan: what the data are, what the contract needs of them, what stands in the way of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from baluarte.core.bounds import chosen_alpha, look_alpha
from baluarte.core.chance import count_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding
from baluarte.core.findings import blocking, finding_name, worst_first
from baluarte.core.forecast import Forecast, NoForecast
from baluarte.core.labels import ATTACK, NOT, attacks
from baluarte.core.schema import FieldType
from baluarte.core.shares import false_alarm_rate
from baluarte.core.split import How
from baluarte.core.survey import Survey, survey_of
from baluarte.core.telling import auc_alone, missing_in
from baluarte.errors import DataError
from baluarte.ports import Check, GatePlugin, Progress

LOOKS_AHEAD = (0, 1, 4)  #: the looks whose needs are told: the next one, the one after, the fifth


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of which kind.

    Attributes:
        sampled: events that what is said of the fields stands on; all others are only counted.
    """

    events: int
    sampled: int
    positives: int
    negatives: int
    unlabelled: int
    features: int


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate needs of the proof rows at one look, and what the split gives it.

    Attributes:
        by: the field whose every segment needs as many, if any.
    """

    gate: str
    by: str | None
    look: int
    positives: int
    negatives: int
    positives_there: int
    negatives_there: int
    enough: bool


class ThresholdPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How the threshold will be set, as far as the number of rows decides it.

    Attributes:
        budget: the tightest rate of false alarms that the contract allows.
        alpha: the rate that the threshold will be set for, None if none passes its gate with
            probability .9.
        power: that probability.
        certifiable: whether the threshold rows can hold the budget at all.
    """

    budget: float
    threshold_rows: int
    proof_rows: int
    certifiable: bool
    alpha: float | None
    power: float | None


class FieldLook(msgspec.Struct, frozen=True, kw_only=True):
    """One feature at a glance; ``auc`` is that of the field alone, None where it can't be told."""

    name: str
    type: FieldType
    missing: float
    distinct: int
    auc: float | None


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """All that ``plan`` found; what blocks is the findings of that level that nobody accepted."""

    detector: str
    counts: Counts
    findings: tuple[Finding, ...]
    accepted: dict[str, str]  #: findings that came up and are accepted: name to reason
    blocking: tuple[str, ...]  #: names
    needs: tuple[Need, ...]
    how: How | None  #: of the split; None where no split is possible
    parts: dict[str, tuple[int, int]]  #: (negatives, positives) of each part
    threshold: ThresholdPlan | None
    fields: tuple[FieldLook, ...]
    next_look: int
    forecast: Forecast | None = None
    no_forecast: NoForecast | None = None  #: where a dry run was wanted, and could not be


def plan(
    contract: Contract,
    events: Events,
    *,
    checks: Sequence[Check],
    gates: Mapping[str, GatePlugin],
    holdout: Events | None = None,
    looks_spent: int = 0,
    forecast: Forecast | NoForecast | None = None,
    of_labels: Sequence[Finding] = (),
    progress: Progress | None = None,
) -> PlanResult:
    """Look at the events before anyone trains on them.

    Args:
        events: all of them, or the survey of them.
        gates: by name; those that the contract names are asked what they need.
        holdout: events kept for the proof alone, where the workspace names such.
        looks_spent: looks at the proof rows so far.
        forecast: what the detector will take, where a dry run told it, or why it couldn't.
        of_labels: what was found of labels that were delivered apart from the events.
    """
    seen = survey_of(contract, events)
    findings = list(of_labels)
    for done, check in enumerate(checks):
        if progress is not None:
            progress.step(done, len(checks) + 1, check.name)
        findings += check.findings(contract, seen)
    split = seen.whole.split.evidence if seen.whole.split is not None else None
    parts = dict(split.counts) if split is not None else {}
    if holdout is not None:
        of_proof = attacks(contract, holdout)
        parts["proof"] = (int((of_proof == NOT).sum()), int((of_proof == ATTACK).sum()))
    needs = _needs(contract, gates, parts.get("proof", (0, 0)), looks_spent)
    threshold = _threshold(contract, parts, looks_spent) if parts else None
    told = forecast if isinstance(forecast, Forecast) else None
    findings += _shortfalls(needs, threshold) + _slowness(told)
    fields = tuple(_field_look(contract, seen, name) for name in _present(contract, seen))
    if progress is not None:
        progress.step(len(checks) + 1, len(checks) + 1)
    reasons = {accept.finding: accept.reason for accept in contract.accept}
    named = {finding_name(finding) for finding in findings}
    return PlanResult(
        detector=contract.name,
        counts=Counts(
            events=seen.whole.n,
            sampled=seen.n,
            positives=seen.whole.counts[1],
            negatives=seen.whole.counts[0],
            unlabelled=seen.whole.counts[2],
            features=len(contract.events.features),
        ),
        findings=tuple(worst_first(findings)),
        accepted={name: reason for name, reason in reasons.items() if name in named},
        blocking=tuple(finding_name(finding) for finding in blocking(findings, contract)),
        needs=needs,
        how=split.how if split is not None else None,
        parts=parts,
        threshold=threshold,
        fields=fields,
        next_look=looks_spent + 1,
        forecast=told,
        no_forecast=forecast if isinstance(forecast, NoForecast) else None,
    )


def accepting(result: PlanResult, contract: Contract) -> PlanResult:
    """The same findings, as a contract that accepts others has them."""
    named = {finding_name(finding) for finding in result.findings}
    reasons = {accept.finding: accept.reason for accept in contract.accept}
    return msgspec.structs.replace(
        result,
        accepted={name: reason for name, reason in reasons.items() if name in named},
        blocking=tuple(finding_name(f) for f in blocking(result.findings, contract)),
    )


def _needs(
    contract: Contract, gates: Mapping[str, GatePlugin], there: tuple[int, int], looks_spent: int
) -> tuple[Need, ...]:
    negatives_there, positives_there = there
    error = 1 - contract.objective.confidence
    needs = []
    for gate in contract.gates:
        if gate.name not in gates:
            continue
        for ahead in LOOKS_AHEAD:
            look = looks_spent + 1 + ahead
            alpha = look_alpha(error, look)
            positives, negatives = gates[gate.name].needed(gate, contract, alpha=alpha)
            if positives == negatives == 0:
                continue
            needs.append(
                Need(
                    gate=gate.name,
                    by=gate.by,
                    look=look,
                    positives=positives,
                    negatives=negatives,
                    positives_there=positives_there,
                    negatives_there=negatives_there,
                    enough=positives <= positives_there and negatives <= negatives_there,
                )
            )
    return tuple(needs)


def _threshold(
    contract: Contract, parts: Mapping[str, tuple[int, int]], looks_spent: int
) -> ThresholdPlan | None:
    """For budgets that are rates of false alarms; the others depend on the scores."""
    kinds = {band.budget.kind for band in contract.bands if band.budget is not None}
    if not kinds & {"max_fpr", "max_alerts_per_day"}:
        return None
    budget = false_alarm_rate(contract)
    n_threshold, n_proof = parts["threshold"][0], parts["proof"][0]
    confidence = contract.objective.confidence
    try:
        chosen = chosen_alpha(
            max_fpr=budget,
            n_cal=n_threshold,
            n_proof=n_proof,
            confidence=confidence,
            alpha_gate=look_alpha(1 - confidence, looks_spent + 1),
        )
        certifiable = True
    except DataError:
        chosen, certifiable = None, False
    return ThresholdPlan(
        budget=budget,
        threshold_rows=n_threshold,
        proof_rows=n_proof,
        certifiable=certifiable,
        alpha=chosen.alpha if chosen else None,
        power=chosen.power if chosen else None,
    )


def _shortfalls(needs: Sequence[Need], threshold: ThresholdPlan | None) -> list[Finding]:
    """What the rows can't certify; the field of a finding about a gate is the gate's name.

    Without a threshold nothing can be trained to a promise, so that blocks.
    """
    found = []
    if threshold is not None and threshold.alpha is None:
        rows = threshold.threshold_rows + threshold.proof_rows
        found.append(
            Finding(
                check="needs.threshold",
                level="warn" if threshold.certifiable else "block",
                values={
                    "budget": threshold.budget,
                    "found": threshold.threshold_rows + threshold.proof_rows,
                },
                evidence=(
                    count_figure("threshold_rows", threshold.threshold_rows, rows),
                    count_figure("proof_rows", threshold.proof_rows, rows),
                ),
            )
        )
    first = min((need.look for need in needs), default=1)
    for need in needs:
        if need.look != first or need.enough:
            continue
        short = need.positives > need.positives_there
        values: dict[str, str | int | float] = {
            "gate": need.gate,
            "n": need.positives if short else need.negatives,
            "found": need.positives_there if short else need.negatives_there,
            "what": "positives" if short else "negatives",
            "look": need.look,
        }
        n, there = int(values["n"]), int(values["found"])
        figures = (count_figure("needed", n, there), count_figure("there", there, there))
        found.append(
            Finding(
                check="needs.short",
                level="warn",
                field=need.gate,
                values=values,
                evidence=figures,
            )
        )
    return found


def _slowness(forecast: Forecast | None) -> list[Finding]:
    """That one event takes longer than the contract allows, by the dry run."""
    if forecast is None or forecast.max_latency_ms is None:
        return []
    p99 = forecast.latency_ms[1]
    if p99 <= forecast.max_latency_ms:
        return []
    values: dict[str, str | int | float] = {"p99": p99, "limit": forecast.max_latency_ms}
    figures = (
        Figure(name="p99_ms", value=p99, n=forecast.rows),
        Figure(name="limit_ms", value=forecast.max_latency_ms, n=forecast.rows),
    )
    return [Finding(check="needs.latency", level="warn", values=values, evidence=figures)]


def _present(contract: Contract, events: Events) -> list[str]:
    return [f.name for f in contract.events.features if f.name in events.columns]


def _field_look(contract: Contract, seen: Survey, name: str) -> FieldLook:
    column = seen.columns[name]
    known = column[~missing_in(column)]
    distinct = len(set(known.tolist())) if known.dtype == object else len(np.unique(known))
    return FieldLook(
        name=name,
        type=contract.events[name].type,
        missing=1 - len(known) / seen.n if seen.n else 0.0,
        distinct=distinct,
        auc=auc_alone(column, seen.whole.labels[seen.kept]),
    )
