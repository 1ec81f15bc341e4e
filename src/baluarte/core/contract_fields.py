"""From the tables of ``detector.toml`` to the event schema and the label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.cleaning import parse_step
from baluarte.core.contract import Label
from baluarte.core.contract_personal import with_personal
from baluarte.core.contract_surface import DetectorFile, FieldTable
from baluarte.core.event_value import ValueRefusedError
from baluarte.core.labels import LABEL_SOURCE
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import MAX_PATH_DEPTH, Cleaning, Field, FieldType, Role, Schema
from baluarte.core.toml_lines import KeyPath
from baluarte.core.typed_tables import Report

TYPES: tuple[FieldType, ...] = get_args(FieldType)
ONE_OF_A_KIND: tuple[Role, ...] = ("label", "id", "time", "entity", "legacy_score")
ROLE_TYPES: dict[Role, tuple[FieldType, ...]] = {
    "time": ("time",),
    "legacy_score": ("number", "integer"),
    "id": ("text", "category", "integer", "ip"),
    "entity": ("text", "category", "integer", "ip"),
    "key": ("text", "category", "integer", "ip", "boolean"),
}
PSEUDONYM_TYPES: tuple[FieldType, ...] = ("category", "text")
ORDERED_TYPES: tuple[FieldType, ...] = ("number", "integer", "boolean")
PSEUDONYM_ROLES: tuple[Role, ...] = ("feature", "id", "entity", "key", "sensitive")


@dataclass(slots=True)
class _Claim:
    """A role given to a field, and where that was said."""

    role: Role
    path: KeyPath


def build_schema(surface: DetectorFile, report: Report) -> Schema:
    """The schema of all declared fields, in the order of the file; faults go to the report."""
    short = _short_forms(surface, report)
    roles = _roles(surface, [*short, *(n for n in surface.fields if n not in short)], report)
    fields = []
    for name, (kind, path) in short.items():
        long = surface.fields.get(name)
        if long is not None and long.type is not UNSET and long.type != kind:
            message = f'"{long.type}" here, but {name} is listed as {kind}'
            report.fault(("fields", name, "type"), message)
        fields.append(_field(name, kind, long or FieldTable(), roles.get(name), path, report))
    for name, table in surface.fields.items():
        if name in short:
            continue
        path = ("fields", name)
        if isinstance(table.type, UnsetType):
            if not report.touches("fields", name, "type"):
                report.fault((*path, "type"), f"missing; expected one of {', '.join(TYPES)}")
            continue
        fields.append(_field(name, table.type, table, roles.get(name), path, report))
    _refuse_equal_paths(fields, short, report)
    if not any(field.is_feature for field in fields) and not report.found:
        report.fault(("types",), "no feature is declared; a detector needs at least one")
    unknown = UNSET if surface.events.unknown == "refuse" else surface.events.unknown
    return with_personal(Schema(fields=tuple(fields), unknown=unknown), surface, report)


def build_label(surface: DetectorFile, schema: Schema, report: Report) -> Label | None:
    """What the label field's values mean, or None without labels; faults go to the report."""
    events = surface.events
    field = schema.by_role("label")
    if field is None:
        for key in ("positive", "negative", "family", "distrusted"):
            if getattr(events, key) and not report.touches("events"):
                report.fault(("events", key), "given without events.label")
        return None
    if events.positive and events.negative:
        report.fault(("events", "negative"), "give positive or negative values, not both")
    elif not (events.positive or events.negative) and not report.touches("events"):
        report.fault(
            ("events", "label"),
            'which values mean attack? Expected events.positive, such as ["1"], '
            'or events.negative, such as ["normal"]',
        )
    _refuse_twice("positive", events.positive, report)
    _refuse_twice("negative", events.negative, report)
    return Label(
        field=field.name,
        positive=tuple(_label_text(value, field.type) for value in events.positive),
        negative=tuple(_label_text(value, field.type) for value in events.negative),
        family=None if isinstance(events.family, UnsetType) else events.family,
        distrusted=_distrusted(events.distrusted, schema, field.name, report) or UNSET,
    )


def _distrusted(
    told: dict[str, tuple[str | int | bool, ...]], schema: Schema, label: str, report: Report
) -> dict[str, tuple[str, ...]]:
    """The values of each field whose labels count for nothing; faults go to the report."""
    named = {f.name: f for f in schema.fields if f.role not in ("ignored", "time", "derived")}
    out = {}
    for name, values in told.items():
        path: KeyPath = ("events", "distrusted", name)
        if name == LABEL_SOURCE and name not in named:
            out[name] = tuple(canonical_text(value) for value in values)
            _refuse_twice(f"distrusted.{name}", values, report)
            continue
        if name not in named or name == label:
            known = [other for other in named if other != label]
            said = "the label itself" if name == label else f"no field {name} is read."
            report.fault(path, said, did_you_mean(name, known))
            continue
        if named[name].type in ("number", "time"):
            message = f"only fields of names are asked for them; {name} is {named[name].type}"
            report.fault(path, message)
            continue
        texts = [_label_text(value, named[name].type) for value in values]
        _refuse_twice(f"distrusted.{name}", tuple(texts), report)
        out[name] = tuple(texts)
    return out


def canonical_text(value: str | int | bool) -> str:
    """A label value as canonical category text (the table in :mod:`baluarte.core.event`).

    >>> [canonical_text(value) for value in ("fraud", 1, True)]
    ['fraud', '1', 'true']
    """
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _label_text(value: str | int | bool, kind: FieldType) -> str:
    text = canonical_text(value)
    return {"0": "false", "1": "true"}.get(text, text) if kind == "boolean" else text


def _refuse_twice(key: str, values: tuple[str | int | bool, ...], report: Report) -> None:
    seen: set[str] = set()
    path: KeyPath = ("events", *key.split(".", 1))
    for position, value in enumerate(values):
        text = canonical_text(value)
        if text in seen:
            report.fault((*path, position), f'"{text}" is listed twice')
        seen.add(text)


def _short_forms(surface: DetectorFile, report: Report) -> dict[str, tuple[FieldType, KeyPath]]:
    """Type and place of each field listed in [types], in the order of the file."""
    found: dict[str, tuple[FieldType, KeyPath]] = {}
    order = sorted(TYPES, key=lambda kind: _line(report, ("types", kind)))
    for kind in order:
        for position, name in enumerate(getattr(surface.types, kind)):
            path = ("types", kind, position)
            if name in found:
                report.fault(path, f"{name} is listed twice, as {found[name][0]} and as {kind}")
                continue
            found[name] = (kind, path)
    return found


def _line(report: Report, path: KeyPath) -> int:
    place = report.known.get(path)
    return place.start if place else 0


def _claims(surface: DetectorFile) -> Iterator[tuple[str, _Claim]]:
    events = surface.events
    for role in ONE_OF_A_KIND:
        name = getattr(events, role)
        if not isinstance(name, UnsetType):
            yield name, _Claim(role, ("events", role))
    several: dict[str, Role] = {"ignored": "ignored", "sensitive": "sensitive", "keys": "key"}
    for key, role in several.items():
        for position, name in enumerate(getattr(events, key)):
            yield name, _Claim(role, ("events", key, position))
    for name, table in surface.fields.items():
        if not isinstance(table.role, UnsetType):
            yield name, _Claim(table.role, ("fields", name, "role"))


def _roles(surface: DetectorFile, declared: list[str], report: Report) -> dict[str, _Claim]:
    """The role of each field that has one; a field has one role, some roles have one field."""
    roles: dict[str, _Claim] = {}
    holders: dict[Role, str] = {}
    for name, claim in _claims(surface):
        if name not in declared:
            report.fault(claim.path, f"no field {name} is declared.", did_you_mean(name, declared))
        elif name in roles and roles[name].role != claim.role:
            report.fault(claim.path, f"{name} already has the role {roles[name].role}")
        elif claim.role in ONE_OF_A_KIND and holders.get(claim.role, name) != name:
            report.fault(claim.path, f"{holders[claim.role]} already has the role {claim.role}")
        else:
            roles[name] = claim
            holders.setdefault(claim.role, name)
    family = surface.events.family
    if not isinstance(family, UnsetType) and family not in declared:
        hint = did_you_mean(family, declared)
        report.fault(("events", "family"), f"no field {family} is declared.", hint)
    return roles


def _field(  # noqa: PLR0917 - a field's parts, in the order they are found
    name: str,
    kind: FieldType,
    table: FieldTable,
    claim: _Claim | None,
    path: KeyPath,
    report: Report,
) -> Field:
    role: Role = claim.role if claim else "feature"
    if claim and kind not in ROLE_TYPES.get(role, TYPES):
        options = ", ".join(ROLE_TYPES[role])
        message = f"a field with the role {role} is of type {options}; {name} is {kind}"
        report.fault(claim.path, message)
    if table.unit is not UNSET and kind != "time":
        report.fault(("fields", name, "unit"), f"only for fields of type time; {name} is {kind}")
    if table.allow_infinite and kind != "number":
        message = f"only for fields of type number; {name} is {kind}"
        report.fault(("fields", name, "allow_infinite"), message)
    if table.monotone is not UNSET and (
        kind not in ORDERED_TYPES or role != "feature" or table.available != "at_decision"
    ):
        message = f"only for features of type {', '.join(ORDERED_TYPES)}; {name} is {kind}, {role}"
        report.fault(("fields", name, "monotone"), message)
    if table.pseudonym and (kind not in PSEUDONYM_TYPES or role not in PSEUDONYM_ROLES):
        message = (
            f"only for fields of type {' or '.join(PSEUDONYM_TYPES)} that are a feature, the id, "
            f"the entity, a key or sensitive; {name} is {kind}, {role}"
        )
        report.fault(("fields", name, "pseudonym"), message)
    steps = (name if isinstance(table.path, UnsetType) else table.path).split(".")
    if not all(steps) or len(steps) > MAX_PATH_DEPTH:
        message = f"expected 1 to {MAX_PATH_DEPTH} keys joined by dots, none empty"
        report.fault((*path, "path"), message)
    return Field(
        name=name,
        type=kind,
        role=role,
        path="" if isinstance(table.path, UnsetType) or table.path == name else table.path,
        available=table.available,
        mutable=table.mutable,
        required=table.required,
        allow_infinite=table.allow_infinite,
        unit="s" if isinstance(table.unit, UnsetType) else table.unit,
        clean=_steps(name, kind, role, table, report) or UNSET,
        pseudonym=True if table.pseudonym else UNSET,
        monotone=table.monotone,
    )


def _steps(
    name: str, kind: FieldType, role: Role, table: FieldTable, report: Report
) -> tuple[Cleaning, ...]:
    """The cleaning steps; only what a learner sees is cleaned, or what has a pseudonym."""
    path = ("fields", name, "clean")
    learnt = role == "feature" and table.available == "at_decision"
    if table.clean and not learnt and not table.pseudonym:
        report.fault(path, f"only features are cleaned; {name} is none")
    steps = []
    for position, said in enumerate(table.clean):
        try:
            steps.append(parse_step(said, kind))
        except ValueRefusedError as refused:
            report.fault((*path, position), str(refused), refused.hint)
    return tuple(steps)


def hide_family(schema: Schema, label: Label | None) -> Schema:
    """The schema with the family known only after the fact: it says attack or not."""
    if label is None or label.family is None or label.family == label.field:
        return schema
    fields = tuple(
        msgspec.structs.replace(field, available="after") if field.name == label.family else field
        for field in schema.fields
    )
    return msgspec.structs.replace(schema, fields=fields)


def _refuse_equal_paths(
    fields: list[Field], short: dict[str, tuple[FieldType, KeyPath]], report: Report
) -> None:
    """No two fields read the same value, and none reads inside another."""
    by_keys: dict[tuple[str, ...], str] = {}
    for field in fields:
        path: KeyPath = ("fields", field.name, "path")
        path = path if path in report.known or field.name not in short else short[field.name][1]
        if field.keys in by_keys:
            report.fault(path, f"{'.'.join(field.keys)} is already read by {by_keys[field.keys]}")
        by_keys.setdefault(field.keys, field.name)
