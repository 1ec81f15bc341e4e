"""Which fields are personal, whom they are about, and what windows may remember of them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.condition import ConditionError, parse_condition
from baluarte.core.contract import WindowFeature
from baluarte.core.contract_surface import DetectorFile
from baluarte.core.nearest import did_you_mean
from baluarte.core.schema import FieldType, Role, Schema
from baluarte.core.toml_lines import KeyPath
from baluarte.core.typed_tables import Report

SUBJECT_TYPES: tuple[FieldType, ...] = ("text", "category", "integer", "ip")
#: what a record says in the clear, because reports and labels go by it
_OPEN: dict[Role, str] = {
    "id": "labels name an event by it; write pseudonym = true, or an id that names nobody",
    "time": "records go by it",
    "ignored": "it is never read",
}


def with_personal(schema: Schema, surface: DetectorFile, report: Report) -> Schema:
    """The schema with its personal fields and their subject; faults go to the report.

    The subject of personal fields is personal itself.
    """
    said: dict[str, KeyPath] = {}
    for position, name in enumerate(surface.events.personal):
        said.setdefault(name, ("events", "personal", position))
    for name, table in surface.fields.items():
        if table.personal:
            said.setdefault(name, ("fields", name, "personal"))
    names = [field.name for field in schema.fields]
    for name, path in said.items():
        if name not in names:
            if path[0] == "events":
                report.fault(path, f"no field {name} is declared.", did_you_mean(name, names))
        elif schema[name].role in _OPEN:
            role = schema[name].role
            report.fault(path, f"the {role} stands in records in the clear: {_OPEN[role]}")
    subject = _subject(schema, surface, bool(said), report)
    if not said:
        return schema
    personal = said.keys() | ({subject} if subject else set())
    return msgspec.structs.replace(
        schema,
        fields=tuple(
            msgspec.structs.replace(field, personal=True) if field.name in personal else field
            for field in schema.fields
        ),
        subject=subject or UNSET,
    )


def _subject(
    schema: Schema, surface: DetectorFile, has_personal: bool, report: Report
) -> str | None:
    named = surface.events.subject
    path = ("events", "subject")
    entity = schema.by_role("entity")
    if isinstance(named, UnsetType):
        return entity.name if entity is not None and has_personal else None
    names = [field.name for field in schema.fields]
    if not has_personal:
        report.fault(path, "given without events.personal")
    elif named not in names:
        report.fault(path, f"no field {named} is declared.", did_you_mean(named, names))
    elif schema[named].role in _OPEN or schema[named].available == "after":
        report.fault(path, f"{named} can't be the subject: its role is {schema[named].role}")
    elif schema[named].type not in SUBJECT_TYPES:
        options = ", ".join(SUBJECT_TYPES)
        message = f"a subject is of type {options}; {named} is {schema[named].type}"
        report.fault(path, message)
    else:
        return named
    return None


def window_reads(schema: Schema, window: WindowFeature) -> set[str]:
    """Names of all fields that a window looks at."""
    reads = {*window.by} | ({window.field} if window.field else set())
    if window.where:
        try:
            reads |= parse_condition(window.where, schema).fields
        except ConditionError:  # reported where it stands
            return reads
    return reads


def is_personal_window(schema: Schema, window: WindowFeature) -> bool:
    """Whether a window's value is about a person."""
    return any(name in schema and schema[name].is_personal for name in window_reads(schema, window))


def check_erasable(schema: Schema, window: WindowFeature, report: Report) -> None:
    """A window may remember of a person only what can be found again by the subject's name.

    So what is remembered by the subject may be anything; by another entity only how many different
    subjects there were. Conditions leave nothing behind.
    """
    subject = None if isinstance(schema.subject, UnsetType) else schema.subject
    if subject is not None and subject in window.by:
        return
    path: KeyPath = ("windows", window.name)
    cure = f"add {subject} to by" if subject else "name events.subject and add it to by"
    for name in window.by:
        if name in schema and schema[name].is_personal:
            report.fault((*path, "by"), f"{name} is personal, and couldn't be erased: {cure}")
    name = window.field or ""
    if name in schema and schema[name].is_personal:
        if window.op == "distinct" and name == subject:
            return
        report.fault((*path, "field"), f"{name} is personal, and couldn't be erased: {cure}")
