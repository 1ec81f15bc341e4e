"""From the label field's values to attack, not, or not known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import UnsetType
from numpy.typing import NDArray

from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.schema import FieldType

ATTACK, NOT, UNKNOWN = 1, 0, -1
LABEL_SOURCE = "@source"  #: the column of who gave a label, where labels were delivered apart


def attacks(contract: Contract, events: Events) -> NDArray[np.int8]:
    """(n,) 1 where the label means attack, 0 where not, -1 where there is none.

    A value counts as an attack if it is among the contract's positive values, or, where the
    contract names the negative ones, if it is not among those. The label of one whom the contract
    distrusts is not known.
    """
    label = contract.label
    if label is None or label.field not in events.columns:
        return np.full(events.n, UNKNOWN, dtype=np.int8)
    texts = as_text(events.columns[label.field], contract.events[label.field].type)
    listed = set(label.positive or label.negative)
    inside, outside = (ATTACK, NOT) if label.positive else (NOT, ATTACK)
    codes = {text: inside if text in listed else outside for text in set(texts)}
    codes[None] = UNKNOWN
    found = np.fromiter((codes[text] for text in texts), dtype=np.int8, count=events.n)
    if not isinstance(label.distrusted, UnsetType):
        found[_distrusted(contract, events, label.distrusted)] = UNKNOWN
    return found


def _distrusted(
    contract: Contract, events: Events, told: dict[str, tuple[str, ...]]
) -> NDArray[np.bool_]:
    """(n,) whose labels count for nothing, by who gave them."""
    out = np.zeros(events.n, dtype=np.bool_)
    for name, values in told.items():
        if name in events.columns:
            kind = contract.events[name].type if name in contract.events else "category"
            texts = as_text(events.columns[name], kind)
            named = {text: text in values for text in set(texts)}
            out |= np.fromiter((named[text] for text in texts), dtype=np.bool_, count=events.n)
    return out


def families(contract: Contract, events: Events) -> list[str | None]:
    """(n,) the attack family of each event, None where it has none or the contract names none."""
    family = contract.label.family if contract.label else None
    if family is None or family not in events.columns:
        return [None] * events.n
    return as_text(events.columns[family], contract.events[family].type)


def as_text(column: NDArray[np.float64 | np.object_], kind: FieldType) -> list[str | None]:
    """The values of a canonical column as canonical category text, None where missing.

    >>> as_text(np.array([1.0, 0.5, np.nan]), "number")
    ['1', '0.5', None]
    >>> as_text(np.array([1.0, 0.0]), "boolean")
    ['true', 'false']
    """
    values: Sequence[float | str | None] = column.tolist()
    return [_text(value, kind) for value in values]


def _text(value: float | str | None, kind: FieldType) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if value != value:  # noqa: PLR0124 - NaN
        return None
    if kind == "boolean":
        return "true" if value else "false"
    return str(int(value)) if value.is_integer() else repr(value)
