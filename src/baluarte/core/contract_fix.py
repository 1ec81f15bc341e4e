"""Edit ``detector.toml`` in place: one cure, every other byte as it was.

A cure is named by the field that is left out, or by what is done, and to what:

=======================  ===========================================================================
``FIELD``                read past: added to ``events.ignored``
``ignore:A,B``           the same for several fields
``after:FIELD``          known only after the decision: ``available = "after"``
``sensitive:FIELD``      for fairness figures only: added to ``events.sensitive``
``entity:FIELD``         who or what the event is about: ``events.entity``
``trim:FIELD``           a cleaning step more: without spaces at its ends; ``lower:FIELD`` likewise
``missing:FIELD=A,B``    cleaning steps more: these values are missing ones
``clip:FIELD=LOW,HIGH``  a cleaning step more: the nearest value within
``pseudonym:FIELD``      a keyed pseudonym stands for the value: ``pseudonym = true``; a whole
                         number becomes a category, as a pseudonym is none
``split:BY``             the split goes by ``time``, ``entity`` or ``stratum``; ``split`` is
                         ``split:entity``
``repeats:HOW``          fit rows that repeat others are left out: ``apart``, ``near`` or ``once``
``distrust:FIELD=VALUE`` the labels of this source count for nothing: ``events.distrusted``
``label:OLD=NEW``        the label value that the data have in place of one that they don't
=======================  ===========================================================================
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection
from typing import Any, Literal, get_args

import msgspec
from msgspec import UNSET, UnsetType

from baluarte.core.contract import Contract, Label, Repeats, SplitBy
from baluarte.core.contract_toml import parse_contract
from baluarte.core.labels import LABEL_SOURCE
from baluarte.core.schema import Field
from baluarte.core.toml_edit import added, in_events, in_list, in_table, quoted, removed, replaced
from baluarte.core.toml_lines import KeyPath, places
from baluarte.errors import ContractError

Cure = Literal[
    "ignore", "after", "sensitive", "entity", "trim", "lower", "missing", "clip", "pseudonym",
    "split", "repeats", "distrust", "label",
]  # fmt: skip
CURES: tuple[Cure, ...] = get_args(Cure)
_OF_VALUES = ("missing", "clip", "distrust", "label")  #: whose argument has a value behind ``=``
_OF_NO_FIELD = ("split", "repeats", "label")
_FIRST = ("missing", "unit")  #: steps that come before numbers are clipped
_TEXTUAL = ("trim", "lower", "upper")  #: steps that come before what is missing


class Fix(msgspec.Struct, frozen=True, kw_only=True):
    """A cure as it was named.

    Attributes:
        fields: that it is done to.
        value: what it is done with: a value of the field, or how.
    """

    cure: Cure
    fields: tuple[str, ...] = ()
    value: str = ""


def parse_fix(fix: str, known: Collection[str] = ()) -> Fix:
    """What a cure does, and to which field.

    Args:
        known: names of fields; a cure that is the name of one leaves it out.

    >>> parse_fix("amount").fields, parse_fix("after:settled_at").cure
    (('amount',), 'after')
    >>> parse_fix("missing:age=-1,-9").value, parse_fix("split").value
    ('-1,-9', 'entity')
    """
    cure, colon, said = fix.partition(":")
    if fix in known or (cure not in CURES) or not (colon or fix == "split"):
        return Fix(cure="ignore", fields=(fix,))
    if cure in ("split", "repeats"):
        return Fix(cure=cure, value=said or "entity")
    if cure in _OF_VALUES:
        ends = [i for i, char in enumerate(said) if char == "="]
        at = next((i for i in ends if said[:i] in known), ends[0] if ends else len(said))
        return Fix(cure=cure, fields=(said[:at],), value=said[at + 1 :])
    several = cure == "ignore" and said not in known
    return Fix(cure=cure, fields=tuple(said.split(",")) if several else (said,))


def apply_fix(text: str, fix: str, *, where: str) -> str:
    """The text with a cure written into it.

    Args:
        text: a valid ``detector.toml``.
        where: its name, as faults name it.

    Raises:
        ContractError: there is no such field, it has another role, or it is needed.
    """
    contract = parse_contract(text, where=where)
    named = parse_fix(fix, {field.name for field in contract.events.fields})
    if named.cure in _OF_NO_FIELD:
        return _apply_rule(text, contract, named, fix, where)
    for field in named.fields:
        by_source = named.cure == "distrust" and field == LABEL_SOURCE
        if field not in contract.events and not by_source:
            raise ContractError(f"no field {field} is declared.", where=where)
        text = _apply(text, contract, named, field, fix, where)
    return text


def _apply(  # noqa: PLR0917 - a cure, and where it is written
    text: str, contract: Contract, named: Fix, field: str, fix: str, where: str
) -> str:
    """The text with the cure of one field."""
    if _is_done(contract, named, field):
        return text
    _check_role(contract, named, field, where)
    cure, name = named.cure, quoted(field)
    wanted: dict[str, Any] = tomllib.loads(text)
    if cure in ("ignore", "sensitive"):
        key = "ignored" if cure == "ignore" else "sensitive"
        wanted.setdefault("events", {}).setdefault(key, []).append(field)
        fixed = added(text, key, name)
    elif cure == "entity":
        wanted.setdefault("events", {})["entity"] = field
        fixed = in_events(text, f"entity = {name}")
    elif cure == "distrust":
        events = wanted.setdefault("events", {})
        events.setdefault("distrusted", {}).setdefault(field, []).append(named.value)
        fixed = _distrusting(text, field, named.value)
    else:
        fixed = text
        if cure == "pseudonym" and contract.events[field].type == "integer":
            fixed = _as_category(text, wanted, field)
        table = wanted.setdefault("fields", {}).setdefault(field, {})
        key, value = _setting(named, table, contract.events[field])
        table[key] = value
        said = json.dumps(value, ensure_ascii=False)
        fixed = in_table(fixed, ("fields", field), f"[fields.{name}]", key, f"{key} = {said}")
    return _checked(fixed, wanted, where, f"{fix} can't be written without touching the rest")


def _apply_rule(text: str, contract: Contract, named: Fix, fix: str, where: str) -> str:
    """The text with a cure that is about no one field."""
    wanted: dict[str, Any] = tomllib.loads(text)
    if named.cure == "label":
        return _relabelled(text, contract.label, wanted, named, where)
    key, options = ("by", SplitBy) if named.cure == "split" else ("repeats", Repeats)
    if named.value not in get_args(options):
        expected = ", ".join(f"{named.cure}:{value}" for value in get_args(options))
        raise ContractError(f"expected one of {expected}; found {fix!r}", where=where)
    rules = contract.split
    if not isinstance(rules, UnsetType) and getattr(rules, key) == named.value:
        return text
    wanted.setdefault("split", {})[key] = named.value
    fixed = in_table(text, ("split",), "[split]", key, f"{key} = {quoted(named.value)}")
    return _checked(fixed, wanted, where, f"{fix} can't be written without touching the rest")


def _relabelled(
    text: str, label: Label | None, wanted: dict[str, Any], named: Fix, where: str
) -> str:
    """The text with one listed label value in place of another."""
    old, new = named.fields[0], named.value
    for key in ("positive", "negative"):
        listed = () if label is None else getattr(label, key)
        if new in listed:
            return text
        if old in listed:
            at = listed.index(old)
            wanted["events"][key][at] = new
            fixed = replaced(text, ("events", key, at), quoted(new))
            return _checked(fixed, wanted, where, f"{old} can't be written as {new} here")
    raise ContractError(f"{old!r} is none of the listed label values.", where=where)


def _distrusting(text: str, field: str, value: str) -> str:
    path: KeyPath = ("events", "distrusted", field)
    if path in places(text):
        return in_list(text, path, quoted(value))
    line = f"{quoted(field)} = [{quoted(value)}]"
    if path[:2] not in places(text):
        return in_events(text, f"distrusted = {{ {line} }}")
    return in_table(text, ("events", "distrusted"), "[events.distrusted]", field, line)


def _as_category(text: str, wanted: dict[str, Any], field: str) -> str:
    """The text with a whole number declared as a category."""
    listed: list[str] = wanted.get("types", {}).get("integer", [])
    if field not in listed:
        wanted["fields"][field]["type"] = "category"
        return replaced(text, ("fields", field, "type"), '"category"')
    at = listed.index(field)
    text = removed(text, ("types", "integer", at))
    listed.remove(field)
    table = wanted.setdefault("fields", {}).setdefault(field, {})
    if "type" in table:
        table["type"] = "category"
        return replaced(text, ("fields", field, "type"), '"category"')
    table["type"] = "category"
    name = quoted(field)
    return in_table(text, ("fields", field), f"[fields.{name}]", "type", 'type = "category"')


def accept_finding(text: str, name: str, reason: str, *, where: str) -> str:
    """The text with a finding accepted in ``[plan.accept]``.

    Raises:
        ContractError: the text is faulty, or has no place for it.
    """
    parse_contract(text, where=where)
    wanted: dict[str, Any] = tomllib.loads(text)
    wanted.setdefault("plan", {}).setdefault("accept", {})[name] = reason
    line = f"{quoted(name)} = {quoted(reason)}"
    fixed = in_table(text, ("plan", "accept"), "[plan.accept]", name, line)
    return _checked(fixed, wanted, where, f"{name} can't be accepted without touching the rest")


def _setting(named: Fix, table: dict[str, Any], field: Field) -> tuple[str, Any]:
    """The key of a field's table that a cure sets, and to what."""
    if named.cure == "after":
        return "available", "after"
    if named.cure == "pseudonym":
        return "pseudonym", True
    steps: list[str] = list(table.get("clean", []))
    if named.cure not in ("missing", "clip"):
        return "clean", [*steps, named.cure]
    if named.cure == "clip":
        at = next((i for i, step in enumerate(steps) if step.split()[0] not in _FIRST), len(steps))
        return "clean", [*steps[:at], f"clip {named.value.replace(',', ' ')}", *steps[at:]]
    at = next((i for i, step in enumerate(steps) if step.split()[0] not in _TEXTUAL), len(steps))
    known = {step.value for step in field.steps if step.op == "missing"}
    codes = [f"missing {_told(v)}" for v in _values(named.value, field) if v not in known]
    return "clean", [*steps[:at], *codes, *steps[at:]]


def _values(said: str, field: Field) -> list[str | float]:
    """The values of a field that a cure names, apart by commas."""
    parts = [part.strip() for part in said.split(",") if part.strip()]
    if field.type in ("category", "text"):
        return list(parts)
    return [float(part) for part in parts if _is_number(part)]


def _told(value: str | float) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_done(contract: Contract, named: Fix, name: str) -> bool:
    label = contract.label
    distrusted = UNSET if label is None else label.distrusted
    if named.cure == "distrust":
        return not isinstance(distrusted, UnsetType) and named.value in distrusted.get(name, ())
    field = contract.events[name]
    steps = {step.op for step in field.steps}
    codes = {step.value for step in field.steps if step.op == "missing"}
    return {
        "ignore": field.role == "ignored",
        "after": field.available == "after",
        "sensitive": field.role == "sensitive",
        "entity": field.role == "entity",
        "trim": "trim" in steps,
        "lower": "lower" in steps,
        "missing": bool(codes) and set(_values(named.value, field)) <= codes,
        "clip": "clip" in steps,
        "pseudonym": field.is_pseudonym,
    }[named.cure]


def _check_role(contract: Contract, named: Fix, name: str, where: str) -> None:
    by_source = name == LABEL_SOURCE and name not in contract.events
    role = "key" if by_source else contract.events[name].role
    if named.cure == "pseudonym" and role in ("id", "entity", "key", "sensitive"):
        return
    if named.cure == "distrust" and role in ("feature", "entity", "key", "sensitive"):
        if contract.label is None:
            raise ContractError("there is no label to distrust", where=where)
        return
    if role != "feature":
        raise ContractError(f"{name} has the role {role}; only a feature is cured so", where=where)
    if named.cure == "missing" and not _values(named.value, contract.events[name]):
        message = f"expected missing:{name}= and the values that stand for a missing one"
        raise ContractError(message, where=where)
    entity = contract.events.by_role("entity")
    if named.cure == "entity" and entity is not None:
        raise ContractError(f"{entity.name} already has the role entity", where=where)


def _checked(fixed: str, wanted: dict[str, Any], where: str, message: str) -> str:
    """The text, if it says what was wanted and nothing else."""
    try:
        said = tomllib.loads(fixed)
    except tomllib.TOMLDecodeError:
        said = {}
    if said != wanted:
        raise ContractError(message, where=where, hint="Add it by hand.")
    parse_contract(fixed, where=where)
    return fixed
