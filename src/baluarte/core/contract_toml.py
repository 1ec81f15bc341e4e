"""Read ``detector.toml``: all faults at once, each with its line, what was expected and found."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.contract import Accept, Contract, Learner, Param, Points, Sampling, SplitRules
from baluarte.core.contract_fields import build_label, build_schema, hide_family
from baluarte.core.contract_promises import build_bands, build_gates, build_objective
from baluarte.core.contract_surface import DetectorFile
from baluarte.core.contract_windows import build_history, build_windows, with_derived
from baluarte.core.nearest import did_you_mean
from baluarte.core.reason_catalogue import ReasonCatalogue, parse_reasons
from baluarte.core.schema import Role, Schema
from baluarte.core.toml_lines import line_of
from baluarte.core.typed_tables import Report, editor_schema, parse_toml, to_struct
from baluarte.errors import ContractError, Fault

UNLABELLED_FAMILIES = ("isolation_forest",)  #: what can be learnt where no label is named
#: the default where a field is monotone
MONOTONE_FAMILIES = ("lightgbm", "hist_gradient_boosting", "random_forest")

#: by family and what it is told: the faults, by parameter
ParamFaults = Callable[[str, Mapping[str, Param | tuple[Param, ...]]], Sequence[tuple[str, Fault]]]


def parse_contract(
    text: str,
    *,
    where: str,
    known_families: Collection[str] | None = None,
    known_gates: Collection[str] | None = None,
    known_searches: Collection[str] | None = None,
    param_faults: ParamFaults | None = None,
    beside: Callable[[str], str] | None = None,
) -> Contract:
    """The contract that a ``detector.toml`` declares, complete and in normal form.

    Args:
        where: the file's name, as faults name it.
        known_families: names of the learners at hand; None leaves them unchecked.
        known_gates: names of the gates at hand; None leaves them unchecked.
        known_searches: names of the searches at hand; None leaves them unchecked.
        param_faults: what is wrong with the parameters that a family is told; None leaves them
            unchecked.
        beside: the text of a file that this one names, relative to it; None leaves such files
            unread.

    Raises:
        ContractError: everything that is wrong, in the order of the lines.
    """
    data, report = parse_toml(text, where=where)
    surface = to_struct(data, DetectorFile, report)
    schema = build_schema(surface, report)
    label = build_label(surface, schema, report)
    objective = build_objective(surface, schema, label, report)
    bands = build_bands(surface, objective, report)
    windows = build_windows(surface, schema, label, objective, report)
    contract = Contract(
        name=surface.name,
        purpose=surface.purpose,
        owner=surface.owner,
        events=with_derived(hide_family(schema, label), windows),
        label=label,
        objective=objective,
        bands=bands,
        points=Points(**msgspec.structs.asdict(surface.points)),
        learner=_learner(surface, schema, labelled=label is not None),
        gates=build_gates(surface, objective, bands, schema, report),
        accept=tuple(Accept(finding=f, reason=r) for f, r in surface.plan.accept.items()),
        windows=windows,
        history=build_history(surface, windows, report),
        split=_split(surface, schema, report),
        attack=surface.attack,
    )
    catalogue = _reasons(surface, schema, beside, report)
    contract = msgspec.structs.replace(contract, reasons=catalogue)
    _check_known(contract, known_families, known_gates, report)
    _check_learner(contract.learner, known_searches, label is not None, report)
    if param_faults is not None and not report.found:
        _check_params(contract.learner, param_faults, report)
    report.stop_if_faulty()
    return contract


def contract_json_schema() -> dict[str, Any]:
    """The JSON Schema of ``detector.toml``, for editors that complete and check TOML by one."""
    return editor_schema(DetectorFile)


def _learner(surface: DetectorFile, schema: Schema, *, labelled: bool) -> Learner:
    table = surface.learner
    default = Learner().families if labelled else UNLABELLED_FAMILIES
    if labelled and schema.is_monotone:
        default = MONOTONE_FAMILIES
    sampling = table.sampling
    return Learner(
        families=default if isinstance(table.families, UnsetType) else table.families,
        trials=table.trials,
        folds=table.folds,
        seed=table.seed,
        class_weight=table.class_weight,
        blend=table.blend,
        threads=table.threads,
        max_minutes=None if isinstance(table.max_minutes, UnsetType) else table.max_minutes,
        combine=UNSET if table.combine == "sum" else table.combine,
        calibration=UNSET if table.calibration == "isotonic" else table.calibration,
        search=UNSET if table.search == "optuna" else table.search,
        prune=True if table.prune else UNSET,
        sampling=UNSET
        if isinstance(sampling, UnsetType)
        else Sampling(how=sampling.how, share=sampling.share),
        params=table.params or UNSET,
    )


def _split(surface: DetectorFile, schema: Schema, report: Report) -> SplitRules | UnsetType:
    """What is said of the split; nothing where that is what goes without saying."""
    table = surface.split
    by = table.by
    roles: dict[str | UnsetType, Role] = {"time": "time", "entity": "entity"}
    if by in roles and schema.by_role(roles[by]) is None:
        report.fault(("split", "by"), f"no field has the role {by}", f"Name events.{by}.")
    repeats = UNSET if table.repeats == "keep" else table.repeats
    return UNSET if by is UNSET and repeats is UNSET else SplitRules(by=by, repeats=repeats)


def _reasons(
    surface: DetectorFile, schema: Schema, beside: Callable[[str], str] | None, report: Report
) -> ReasonCatalogue | UnsetType:
    """The catalogue in the file that is named; its faults go to the report with their own lines."""
    name = surface.reasons
    if isinstance(name, UnsetType) or beside is None:
        return UNSET
    try:
        return parse_reasons(beside(name), where=name, schema=schema)
    except ContractError as error:
        for fault in error.faults:
            report.found.append((line_of(report.known, ("reasons",)), fault))
        return UNSET


def _check_known(
    contract: Contract,
    families: Collection[str] | None,
    gates: Collection[str] | None,
    report: Report,
) -> None:
    chosen = contract.learner.families
    for position, family in enumerate(chosen):
        path = ("learner", "families", position)
        if families is not None and family not in families:
            report.fault(path, f"no learner {family}.", did_you_mean(family, sorted(families)))
        if family in chosen[:position]:
            report.fault(path, f"{family} is listed twice")
    for gate in contract.gates:
        if gates is not None and gate.name not in gates:
            hint = did_you_mean(gate.name, sorted(gates))
            report.fault(("gates", gate.name), f"no gate {gate.name}.", hint)


def _check_learner(
    learner: Learner, searches: Collection[str] | None, labelled: bool, report: Report
) -> None:
    named = learner.search
    if searches is not None and not isinstance(named, UnsetType) and named not in searches:
        hint = did_you_mean(named, sorted(searches))
        report.fault(("learner", "search"), f"no search {named}.", hint)
    told = {} if isinstance(learner.params, UnsetType) else learner.params
    for family in told:
        if family not in learner.families:
            message = f"{family} is not one of the families: {', '.join(learner.families)}."
            report.fault(
                ("learner", "params", family), message, did_you_mean(family, learner.families)
            )
    for key in ("sampling", "combine", "calibration"):
        if not labelled and getattr(learner, key) is not UNSET:
            report.fault(("learner", key), "can only be done with labels")


def _check_params(learner: Learner, param_faults: ParamFaults, report: Report) -> None:
    said = {} if isinstance(learner.params, UnsetType) else learner.params
    for family, values in said.items():
        for name, fault in param_faults(family, values):
            report.fault(("learner", "params", family, name), fault.message, fault.hint)
