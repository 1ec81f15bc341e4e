"""From the tables of ``detector.toml`` to objective, bands and gates, with their rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import UnsetType

from baluarte.core.contract import BUDGETS, Band, Budget, Gate, Label, Objective
from baluarte.core.contract_surface import BandTable, BudgetKeys, DetectorFile
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Schema
from baluarte.core.toml_lines import KeyPath
from baluarte.core.typed_tables import Report

T = TypeVar("T")

_NO_BUDGET = Budget(kind="max_fpr", value=0.01)  #: stands in while faults are gathered


def build_objective(
    surface: DetectorFile, schema: Schema, label: Label | None, report: Report
) -> Objective:
    """The objective with its one budget; faults go to the report."""
    table = surface.objective
    budget = _budget_of(table, ("objective",), report)
    if budget is None and surface.bands[1:]:
        budget = _budget_of(surface.bands[1], ("bands", 1), report)
    if budget is None and not report.touches("objective"):
        options = ", ".join(BUDGETS)
        report.fault(("objective",), f"no budget; expected exactly one of {options}")
    objective = Objective(
        budget=budget or _NO_BUDGET,
        min_recall=_given(table.min_recall),
        confidence=table.confidence,
        events_per_day=_given(table.events_per_day),
        cost_missed=table.cost_missed,
        cost_false_alarm=table.cost_false_alarm,
        max_event_cost=_given(table.max_event_cost),
        max_latency_ms=_given(table.max_latency_ms),
        label_delay_days=table.label_delay_days,
    )
    _check_costs(objective, schema, report)
    if budget is not None:
        _check_needs(objective, label, report)
    return objective


def _check_costs(objective: Objective, schema: Schema, report: Report) -> None:
    costs = {"cost_missed": objective.cost_missed, "cost_false_alarm": objective.cost_false_alarm}
    by_field = {key: cost for key, cost in costs.items() if isinstance(cost, str)}
    for key, name in by_field.items():
        if name not in schema:
            hint = did_you_mean(name, [field.name for field in schema.fields])
            report.fault(("objective", key), f"no field {name} is declared.", hint)
        elif schema[name].type not in ("number", "integer"):
            message = f"a cost is a number or a field of numbers; {name} is {schema[name].type}"
            report.fault(("objective", key), message)
    if by_field and objective.budget.kind == "max_cost" and objective.max_event_cost is None:
        report.fault(
            ("objective", "max_event_cost"),
            "missing; a cost taken from a field needs the largest cost of one event for its bound",
        )


def _check_needs(objective: Objective, label: Label | None, report: Report) -> None:
    kind = objective.budget.kind
    if kind == "max_alerts_per_day" and objective.events_per_day is None:
        if not report.touches("objective", "events_per_day"):
            message = "missing; max_alerts_per_day is a rate only with the events of a day"
            report.fault(("objective", "events_per_day"), message)
    elif kind == "max_alerts_per_day" and objective.budget.value >= (objective.events_per_day or 0):
        message = (
            f"{objective.budget.value:g} alerts a day is no limit on "
            f"{objective.events_per_day:g} events a day"
        )
        report.fault(("objective", kind), message)
    if label is not None or report.touches("events"):
        return
    if kind != "max_alerts_per_day":
        message = "can only be certified with labels."
        report.fault(("objective", kind), message, "Name events.label, or use max_alerts_per_day.")
    if objective.min_recall is not None:
        message = "can only be certified with labels."
        report.fault(("objective", "min_recall"), message, "Name events.label, or leave it out.")


def _budget_of(table: BudgetKeys, path: KeyPath, report: Report) -> Budget | None:
    given = [(kind, getattr(table, kind)) for kind in BUDGETS]
    budgets = [Budget(kind=kind, value=v) for kind, v in given if not isinstance(v, UnsetType)]
    if len(budgets) > 1:
        names = " and ".join(budget.kind for budget in budgets)
        report.fault((*path, budgets[-1].kind), f"one budget at a time; found {names}")
    return budgets[0] if budgets else None


def build_bands(surface: DetectorFile, objective: Objective, report: Report) -> tuple[Band, ...]:
    """The outcomes, lowest first: pass and alert if none are named; faults go to the report."""
    if not surface.bands:
        return (Band(name="pass"), Band(name="alert", budget=objective.budget))
    if len(surface.bands) == 1 and not report.touches("bands"):
        report.fault(("bands",), "expected at least two outcomes, lowest first; found 1")
    bands = [
        Band(name=table.name, budget=_band_budget(table, position, objective, report))
        for position, table in enumerate(surface.bands)
    ]
    names = [band.name for band in bands]
    for position, band in enumerate(bands):
        if band.name and band.name in names[:position]:
            report.fault(("bands", position, "name"), f"{band.name} is named twice")
        if position:
            _check_order(bands[1:position], band, position, report)
    return tuple(bands)


def _band_budget(
    table: BandTable, position: int, objective: Objective, report: Report
) -> Budget | None:
    path: KeyPath = ("bands", position)
    budget = _budget_of(table, path, report)
    if position == 0:
        if budget is not None:
            message = "the lowest outcome has no threshold, so no budget"
            report.fault((*path, budget.kind), message)
        return None
    if position == 1:
        if budget is not None and budget != objective.budget:
            message = (
                f"{budget.kind} {budget.value:g} is not the objective's "
                f"{objective.budget.kind} {objective.budget.value:g}; give it once"
            )
            report.fault((*path, budget.kind), message)
        return objective.budget
    if budget is None and not report.touches(*path):
        report.fault(path, f"no budget; expected exactly one of {', '.join(BUDGETS)}")
    return budget


def _check_order(lower: Sequence[Band], band: Band, position: int, report: Report) -> None:
    """A higher band is rarer: its budget is tighter than those below it of the same kind."""
    for other in lower:
        if other.budget is None or band.budget is None or other.budget.kind != band.budget.kind:
            continue
        kind, value, below = band.budget.kind, band.budget.value, other.budget.value
        looser = value <= below if kind == "min_precision" else value >= below
        if looser:
            message = f"{value:g} is not tighter than {other.name}'s {below:g}, the band below"
            report.fault(("bands", position, kind), message)
            return


def build_gates(
    surface: DetectorFile,
    objective: Objective,
    bands: Sequence[Band],
    schema: Schema,
    report: Report,
) -> tuple[Gate, ...]:
    """The gates: one for each promise, and those that the file adds; faults go to the report.

    A gate without a limit of its own holds the objective's, or every band's. A gate of the file
    stands beside the promise's; it may be stricter or look into segments, never be weaker.
    """
    promised = _promised(objective, bands)
    gates = [Gate(name=name) for name in promised]
    for name, table in surface.gates.items():
        gate = Gate(name=name, min=_given(table.min), max=_given(table.max), by=_given(table.by))
        _check_gate(gate, promised, schema, report)
        if gate not in gates:
            gates.append(gate)
    return tuple(gates)


def _promised(objective: Objective, bands: Sequence[Band]) -> dict[str, float | None]:
    """The gates that follow from the promises, each with the limit at the lowest threshold."""
    kinds = {band.budget.kind for band in bands if band.budget is not None}
    value = {objective.budget.kind: objective.budget.value}
    limits = {
        "recall": (objective.min_recall is not None, objective.min_recall),
        "false_alarms": ("max_fpr" in kinds or "max_alerts_per_day" in kinds, value.get("max_fpr")),
        "precision": ("min_precision" in kinds, value.get("min_precision")),
        "cost": ("max_cost" in kinds, value.get("max_cost")),
        "latency": (objective.max_latency_ms is not None, objective.max_latency_ms),
    }
    return {name: limit for name, (is_promised, limit) in limits.items() if is_promised}


def _check_gate(
    gate: Gate, promised: Mapping[str, float | None], schema: Schema, report: Report
) -> None:
    path: KeyPath = ("gates", gate.name)
    has_limit = gate.min is not None or gate.max is not None or gate.name in promised
    if not has_limit and not report.touches(*path):
        report.fault(path, "no limit, and the objective promises none; expected min or max")
    if gate.by is not None and gate.by not in schema:
        hint = did_you_mean(gate.by, [field.name for field in schema.fields])
        report.fault((*path, "by"), f"no field {gate.by} is declared.", hint)
    limit = promised.get(gate.name)
    if limit is None or gate.by is not None:
        return
    weaker = {
        "min": gate.min is not None and gate.min < limit,
        "max": gate.max is not None and gate.max > limit,
    }
    for key in (key for key, is_weaker in weaker.items() if is_weaker):
        message = f"{getattr(gate, key):g} is weaker than the {limit:g} that is promised"
        report.fault((*path, key), message)


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
