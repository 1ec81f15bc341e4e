"""Edit ``detector.toml`` in place: one cure, every other byte as it was."""

from __future__ import annotations

import json
import tomllib

from baluarte.core.contract_toml import parse_contract
from baluarte.core.toml_lines import KeyPath, Place, places
from baluarte.errors import ContractError

_IGNORED: KeyPath = ("events", "ignored")


def ignore_field(text: str, field: str, *, where: str) -> str:
    """The text with a field added to ``events.ignored``.

    Args:
        text: a valid ``detector.toml``.
        where: its name, as faults name it.

    Raises:
        ContractError: there is no such field, it has another role, or it is needed.
    """
    contract = parse_contract(text, where=where)
    if field not in contract.events:
        raise ContractError(f"no field {field} is declared.", where=where)
    role = contract.events[field].role
    if role == "ignored":
        return text
    if role != "feature":
        raise ContractError(f"{field} has the role {role}; only a feature is left out", where=where)
    fixed = _added(text, json.dumps(field, ensure_ascii=False).replace("\x7f", "\\u007f"))
    parse_contract(fixed, where=where)
    if tomllib.loads(fixed) != _wanted(tomllib.loads(text), field):
        message = f"can't add {field} to events.ignored without touching the rest"
        raise ContractError(message, where=where, hint="Add it by hand.")
    return fixed


def _wanted(data: dict[str, dict[str, list[str]]], field: str) -> dict[str, dict[str, list[str]]]:
    events = data.get("events", {})
    return {**data, "events": {**events, "ignored": [*events.get("ignored", []), field]}}


def _added(text: str, item: str) -> str:
    known = places(text)
    if _IGNORED in known:
        return _in_list(text, known[_IGNORED], item)
    events = known.get(("events",))
    if events is None:
        return _before_first_table(text, known, f"[events]\nignored = [{item}]\n\n")
    line_start = text.rfind("\n", 0, events.start) + 1
    header = text[line_start:].lstrip(" \t")
    if header.startswith("["):  # a table of its own
        end = text.find("\n", events.start)
        end = len(text) if end < 0 else end
        return f"{text[:end]}\nignored = [{item}]{text[end:]}"
    if text[events.start] == "{":  # an inline table
        inside = text[events.start + 1 : events.end - 1].rstrip()
        comma = "," if inside.strip() else ""
        return (
            f"{text[: events.start + 1]}{inside}{comma} ignored = [{item}] {text[events.end - 1 :]}"
        )
    return f"{text[:line_start]}events.ignored = [{item}]\n{text[line_start:]}"


def _in_list(text: str, place: Place, item: str) -> str:
    """The item behind the last one; a list that ends in a comma goes on so."""
    known = places(text)
    items = [p for path, p in known.items() if path[:2] == _IGNORED and len(path) == 3]
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
