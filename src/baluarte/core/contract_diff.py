"""What two contracts say otherwise, place by place."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from baluarte.core.contract import Contract

Said = str | int | float | bool | None
_BY_NAME = ("name", "finding", "field")  #: what the entries of a list are known by, the first found


class ContractChange(msgspec.Struct, frozen=True, kw_only=True):
    """One place where two contracts differ.

    Attributes:
        path: keys joined by dots; entries of lists by their name: ``events.amount.mutable``.
        before: what the older one says; null where it says nothing of it.
        after: likewise of the newer one.
    """

    path: str
    kind: Literal["added", "removed", "changed"]
    before: Said = None
    after: Said = None


def contract_changes(old: Contract, new: Contract) -> tuple[ContractChange, ...]:
    """Every difference, in the order of the contract; what was added or removed whole is one."""
    found: list[ContractChange] = []
    _compare(_plain(old), _plain(new), "", found)
    return tuple(found)


def _plain(contract: Contract) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(contract)
    plain["events"] = plain["events"]["fields"]
    return plain


def _compare(old: Any, new: Any, path: str, found: list[ContractChange]) -> None:
    old, new = _keyed(old), _keyed(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            below = f"{path}.{key}" if path else str(key)
            if key not in new:
                found.append(ContractChange(path=below, kind="removed", before=_said(old[key])))
            elif key not in old:
                found.append(ContractChange(path=below, kind="added", after=_said(new[key])))
            else:
                _compare(old[key], new[key], below, found)
    elif old != new:
        found.append(ContractChange(path=path, kind="changed", before=_said(old), after=_said(new)))


def _keyed(value: Any) -> Any:
    """A list of named entries by their names; any other value as it is."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, dict) for v in value):
        key = next((k for k in _BY_NAME if all(k in v for v in value)), None)
        if key is not None:
            names = [f"{v[key]}.{v['by']}" if v.get("by") else str(v[key]) for v in value]
            if len(set(names)) == len(names):
                return dict(zip(names, value, strict=True))
    return value


def _said(value: Any) -> Said:
    """A value in one line; a whole entry by its type, which says most."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        if "type" in value:
            return str(value["type"])
        return ", ".join(
            f"{key} ({', '.join(map(str, each))})" if isinstance(each, dict) else f"{key} {each}"
            for key, each in value.items()
        )
    return ", ".join(str(_said(each)) for each in value)
