"""From the tables ``[windows.NAME]`` and ``[history]`` to window features, with their rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.condition import ConditionError, parse_condition
from baluarte.core.contract import History, Label, Objective, WindowFeature, WindowOp
from baluarte.core.contract_personal import check_erasable, is_personal_window
from baluarte.core.contract_surface import DetectorFile, HistoryTable, WindowTable
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import Field, FieldType, Schema
from baluarte.core.toml_lines import KeyPath
from baluarte.core.typed_tables import Report

T = TypeVar("T")

_KEY_TYPES: tuple[FieldType, ...] = ("text", "category", "integer", "ip", "boolean")
_NUMERIC: tuple[FieldType, ...] = ("number", "integer", "boolean")
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """Which keys an operation takes; the others are faults."""

    field: tuple[FieldType, ...] = ()  #: types of its field; none takes no field
    decimals: bool = False  #: whether it adds up
    where: bool = False  #: whether a condition is needed
    empty: bool = True  #: whether an empty window may have a stated value


NEEDS: dict[WindowOp, _Needs] = {
    "flag": _Needs(where=True, empty=False),
    "count": _Needs(empty=False),
    "share": _Needs(where=True),
    "rate": _Needs(empty=False),
    "sum": _Needs(field=_NUMERIC, decimals=True, empty=False),
    "mean": _Needs(field=_NUMERIC, decimals=True),
    "min": _Needs(field=_NUMERIC),
    "max": _Needs(field=_NUMERIC),
    "distinct": _Needs(field=_KEY_TYPES, empty=False),
    "since_last": _Needs(),
    "ratio": _Needs(field=_NUMERIC, decimals=True),
}


def build_windows(
    surface: DetectorFile, schema: Schema, label: Label | None, objective: Objective, report: Report
) -> tuple[WindowFeature, ...]:
    """The window features in the order of the file; faults go to the report."""
    if surface.windows and schema.by_role("time") is None and not report.touches("events"):
        report.fault(("events", "time"), "missing; a window needs the events' time")
    known = _Known(schema=schema, label=label, min_lag_s=objective.label_delay_days * _DAY_S)
    windows = tuple(_window(name, table, known, report) for name, table in surface.windows.items())
    for window in windows:
        check_erasable(schema, window, report)
    return windows


def build_history(
    surface: DetectorFile, windows: tuple[WindowFeature, ...], report: Report
) -> History | UnsetType:
    """What is remembered, where there is something to remember; faults go to the report."""
    table = surface.history
    if not windows:
        if not isinstance(table, UnsetType):
            report.fault(("history",), "given without [windows.NAME]; nothing is remembered")
        return UNSET
    given = HistoryTable() if isinstance(table, UnsetType) else table
    return History(**msgspec.structs.asdict(given))


def with_derived(schema: Schema, windows: tuple[WindowFeature, ...]) -> Schema:
    """The schema with one derived field a window feature, after its own."""
    derived = [
        Field(
            name=window.name,
            type="number",
            role="derived",
            mutable="no",
            personal=True if is_personal_window(schema, window) else UNSET,
        )
        for window in windows
        if window.name not in schema
    ]
    if not derived:
        return schema
    return msgspec.structs.replace(schema, fields=(*schema.fields, *derived))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the tables refer to."""

    schema: Schema
    label: Label | None
    min_lag_s: float  #: before which no label is known

    def is_label(self, name: str) -> bool:
        return self.label is not None and name == self.label.field


def _window(name: str, table: WindowTable, known: _Known, report: Report) -> WindowFeature:
    path: KeyPath = ("windows", name)
    needs = NEEDS[table.op]
    by = (table.by,) if isinstance(table.by, str) else table.by
    if name in known.schema:
        report.fault(path, f"{name} is already a field")
    _check_keys(table, needs, path, report)
    _check_by(table, by, known, path, report)
    if needs.field:
        _check_field(table, known, path, report)
    labelled = _check_where(table, known, path, report) or (
        not isinstance(table.field, UnsetType) and known.is_label(table.field)
    )
    if labelled and (table.lag_s <= 0 or table.lag_s < known.min_lag_s):
        days = known.min_lag_s / _DAY_S
        least = f"objective.label_delay_days ({days:g} days)" if days else "the labels' delay"
        message = f"{name} reads the label, which is not known at once: expected at least {least}"
        report.fault((*path, "lag_s"), message)
    return WindowFeature(
        name=name,
        op=table.op,
        by=by,
        field=_given(table.field),
        window_s=_given(table.window_s),
        lag_s=table.lag_s,
        where=_given(table.where),
        decimals=0 if isinstance(table.decimals, UnsetType) else table.decimals,
        itself=table.itself and table.op not in ("since_last", "ratio"),
        empty=_given(table.empty),
    )


def _check_keys(table: WindowTable, needs: _Needs, path: KeyPath, report: Report) -> None:
    """A key that means nothing is a fault: its author meant something."""
    flag = table.op == "flag"
    wanted = {"field": bool(needs.field), "window_s": not flag, "by": not flag}
    for key, needed in wanted.items():
        given = getattr(table, key) not in (UNSET, ())
        if needed and not given and not report.touches(*path, key):
            report.fault((*path, key), f"missing; {table.op} needs it")
        if given and not needed:
            report.fault((*path, key), f"{table.op} takes no {key}")
    if needs.where and isinstance(table.where, UnsetType):
        report.fault((*path, "where"), f"missing; {table.op} needs a condition")
    if not needs.decimals and not isinstance(table.decimals, UnsetType):
        report.fault((*path, "decimals"), f"{table.op} adds nothing up")
    if not needs.empty and not isinstance(table.empty, UnsetType):
        report.fault((*path, "empty"), f"{table.op} always has a value")
    if flag and table.lag_s:
        report.fault((*path, "lag_s"), "flag looks at the event itself")


def _check_by(
    table: WindowTable, by: tuple[str, ...], known: _Known, path: KeyPath, report: Report
) -> None:
    names = [field.name for field in known.schema.fields if field.is_given]
    for position, name in enumerate(by):
        place = (*path, "by") if isinstance(table.by, str) else (*path, "by", position)
        if name not in known.schema:
            report.fault(place, f"no field {name} is declared.", did_you_mean(name, names))
            continue
        field = known.schema[name]
        if not field.is_given or field.available == "after" or known.is_label(name):
            report.fault(place, f"{name} is not at hand at the decision")
        elif field.type not in _KEY_TYPES:
            message = f"an entity is of type {', '.join(_KEY_TYPES)}; {name} is {field.type}"
            report.fault(place, message)
        if name in by[:position]:
            report.fault(place, f"{name} is listed twice")


def _check_field(table: WindowTable, known: _Known, path: KeyPath, report: Report) -> None:
    name, needs, place = table.field, NEEDS[table.op], (*path, "field")
    if isinstance(name, UnsetType):
        return
    if name not in known.schema:
        names = [field.name for field in known.schema.fields if field.is_given]
        report.fault(place, f"no field {name} is declared.", did_you_mean(name, names))
        return
    field = known.schema[name]
    if known.is_label(name):
        if table.op not in ("sum", "mean", "min", "max"):
            report.fault(place, f"{table.op} takes no label; sum and mean do: 1 is attack")
        return
    if not field.is_given or field.available == "after":
        report.fault(place, f"{name} is not at hand at the decision")
    elif field.type not in needs.field:
        options = ", ".join(needs.field)
        report.fault(place, f"{table.op} takes a field of type {options}; {name} is {field.type}")
    elif needs.decimals and field.type == "number" and isinstance(table.decimals, UnsetType):
        message = f"missing; sums of {name} are whole numbers of 10^-decimals: 2 for cents"
        report.fault((*path, "decimals"), message)


def _check_where(table: WindowTable, known: _Known, path: KeyPath, report: Report) -> bool:
    """Whether the condition reads the label."""
    if isinstance(table.where, UnsetType):
        return False
    try:
        condition = parse_condition(table.where, known.schema)
    except ConditionError as error:
        report.fault((*path, "where"), str(error), error.hint)
        return False
    labelled = any(known.is_label(name) for name in condition.fields)
    if labelled and table.op == "flag":
        report.fault((*path, "where"), "the event's own label is not known at the decision")
        return False
    return labelled


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
