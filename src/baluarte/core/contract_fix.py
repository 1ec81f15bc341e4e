"""Edit ``detector.toml`` in place: one cure, every other byte as it was.

A cure is named by the field that is left out, or by what is done and the field:

===================  ===============================================================================
``FIELD``            read past: added to ``events.ignored``
``after:FIELD``      known only after the decision: ``available = "after"``
``sensitive:FIELD``  for fairness figures only: added to ``events.sensitive``
``entity:FIELD``     who or what the event is about: ``events.entity``
``trim:FIELD``       a cleaning step more: without spaces at its ends; ``lower:FIELD`` likewise
``pseudonym:FIELD``  a keyed pseudonym stands for the value: ``pseudonym = true``
===================  ===============================================================================
"""

from __future__ import annotations

import json
import tomllib
from typing import Any, Literal, get_args

from baluarte.core.contract import Contract
from baluarte.core.contract_toml import parse_contract
from baluarte.core.toml_lines import KeyPath, Place, places
from baluarte.errors import ContractError

Cure = Literal["ignore", "after", "sensitive", "entity", "trim", "lower", "pseudonym"]
CURES: tuple[Cure, ...] = get_args(Cure)


def parse_fix(fix: str) -> tuple[Cure, str]:
    """What a cure does, and to which field.

    >>> parse_fix("amount"), parse_fix("after:settled_at")
    (('ignore', 'amount'), ('after', 'settled_at'))
    """
    for cure in CURES:
        if fix.startswith(f"{cure}:"):
            return cure, fix.removeprefix(f"{cure}:")
    return "ignore", fix


def apply_fix(text: str, fix: str, *, where: str) -> str:
    """The text with a cure written into it.

    Args:
        text: a valid ``detector.toml``.
        where: its name, as faults name it.

    Raises:
        ContractError: there is no such field, it has another role, or it is needed.
    """
    contract = parse_contract(text, where=where)
    cure, field = parse_fix(fix)
    if fix in contract.events:  # a field whose name only looks like a cure
        cure, field = "ignore", fix
    if field not in contract.events:
        raise ContractError(f"no field {field} is declared.", where=where)
    if _is_done(contract, cure, field):
        return text
    _check_role(contract, cure, field, where)
    name = quoted(field)
    wanted: dict[str, Any] = tomllib.loads(text)
    if cure in ("ignore", "sensitive"):
        key = "ignored" if cure == "ignore" else "sensitive"
        listed = wanted.setdefault("events", {}).setdefault(key, [])
        listed.append(field)
        fixed = _added(text, key, name)
    elif cure == "entity":
        wanted.setdefault("events", {})["entity"] = field
        fixed = _in_events(text, f"entity = {name}")
    else:
        table = wanted.setdefault("fields", {}).setdefault(field, {})
        key, value = _setting(cure, table)
        table[key] = value
        said = json.dumps(value, ensure_ascii=False)
        fixed = _in_table(text, ("fields", field), f"[fields.{name}]", key, f"{key} = {said}")
    return _checked(fixed, wanted, where, f"{fix} can't be written without touching the rest")


def accept_finding(text: str, name: str, reason: str, *, where: str) -> str:
    """The text with a finding accepted in ``[plan.accept]``.

    Raises:
        ContractError: the text is faulty, or has no place for it.
    """
    parse_contract(text, where=where)
    wanted: dict[str, Any] = tomllib.loads(text)
    wanted.setdefault("plan", {}).setdefault("accept", {})[name] = reason
    line = f"{quoted(name)} = {quoted(reason)}"
    fixed = _in_table(text, ("plan", "accept"), "[plan.accept]", name, line)
    return _checked(fixed, wanted, where, f"{name} can't be accepted without touching the rest")


def quoted(text: str) -> str:
    """The text as a TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _setting(cure: Cure, table: dict[str, Any]) -> tuple[str, Any]:
    """The key of a field's table that a cure sets, and to what."""
    if cure == "after":
        return "available", "after"
    if cure == "pseudonym":
        return "pseudonym", True
    return "clean", [*table.get("clean", []), cure]


def _is_done(contract: Contract, cure: Cure, field: str) -> bool:
    declared = contract.events[field]
    return {
        "ignore": declared.role == "ignored",
        "after": declared.available == "after",
        "sensitive": declared.role == "sensitive",
        "entity": declared.role == "entity",
        "trim": any(step.op == "trim" for step in declared.steps),
        "lower": any(step.op == "lower" for step in declared.steps),
        "pseudonym": declared.is_pseudonym,
    }[cure]


def _check_role(contract: Contract, cure: Cure, field: str, where: str) -> None:
    role = contract.events[field].role
    if cure == "pseudonym" and role in ("id", "entity", "key", "sensitive"):
        return
    if role != "feature":
        raise ContractError(f"{field} has the role {role}; only a feature is cured so", where=where)
    entity = contract.events.by_role("entity")
    if cure == "entity" and entity is not None:
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


def _added(text: str, key: str, item: str) -> str:
    """The item in the list of this key of ``events``."""
    known = places(text)
    path: KeyPath = ("events", key)
    if path in known:
        return _in_list(text, path, known[path], item)
    return _in_events(text, f"{key} = [{item}]")


def _in_events(text: str, line: str) -> str:
    """The line as the first of ``events``, which is made where it is not there."""
    known = places(text)
    events = known.get(("events",))
    if events is None:
        return _before_first_table(text, known, f"[events]\n{line}\n\n")
    return _first_in(text, events, line, "events.")


def _in_table(text: str, path: KeyPath, header: str, key: str, line: str) -> str:
    """The line in a table, which is made at the end of the file where it is not there."""
    known = places(text)
    old = known.get((*path, key))
    if old is not None:
        return f"{text[: old.start]}{line.partition(' = ')[2]}{text[old.end :]}"
    table = known.get(path)
    if table is not None:
        return _first_in(text, table, line, header.strip("[]") + ".")
    gap = "" if text.endswith("\n") else "\n"
    return f"{text}{gap}\n{header}\n{line}\n"


def _first_in(text: str, table: Place, line: str, dotted: str) -> str:
    """The line in a table that is there: of its own, inline, or of dotted keys."""
    line_start = text.rfind("\n", 0, table.start) + 1
    if text[line_start:].lstrip(" \t").startswith("["):
        end = text.find("\n", table.start)
        end = len(text) if end < 0 else end
        return f"{text[:end]}\n{line}{text[end:]}"
    if text[table.start] == "{":
        inside = text[table.start + 1 : table.end - 1].rstrip()
        comma = "," if inside.strip() else ""
        return f"{text[: table.start + 1]}{inside}{comma} {line} {text[table.end - 1 :]}"
    return f"{text[:line_start]}{dotted}{line}\n{text[line_start:]}"


def _in_list(text: str, path: KeyPath, place: Place, item: str) -> str:
    """The item behind the last one; a list that ends in a comma goes on so."""
    known = places(text)
    items = [p for at, p in known.items() if at[:2] == path and len(at) == 3]
    if not items:
        return f"{text[: place.start]}[{item}]{text[place.end :]}"
    end = max(p.end for p in items)
    return f"{text[:end].rstrip()}, {item}{text[end:]}"


def _before_first_table(text: str, known: dict[KeyPath, Place], block: str) -> str:
    tables = [
        p.start for p in known.values() if text[p.start] == "[" and _starts_line(text, p.start)
    ]
    start = min(tables, default=len(text))
    gap = "" if not text[:start] or text[:start].endswith("\n") else "\n"
    return f"{text[:start]}{gap}{block}{text[start:]}"


def _starts_line(text: str, at: int) -> bool:
    return text[text.rfind("\n", 0, at) + 1 : at].strip() == ""
