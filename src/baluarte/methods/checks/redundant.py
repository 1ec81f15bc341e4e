"""Features that say the same as another one, value for value."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import count_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Figure, Finding

FEWEST = 200
MAX_SHOWN = 6


class Redundant:
    """Notes features that decide each other: of two that say the same, one is enough.

    Features that are different in most events decide anything and are passed over.
    """

    name: ClassVar[str] = "redundant"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a group of features that say the same, in the contract's order."""
        if events.n < FEWEST:
            return []
        groups: dict[bytes, list[str]] = {}
        different: dict[str, int] = {}
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            codes = _codes(events.columns[field.name])
            if 1 < int(codes.max()) + 1 <= events.n / 2:
                key = hashlib.blake2b(codes.tobytes(), digest_size=16).digest()
                groups.setdefault(key, []).append(field.name)
                different[field.name] = int(codes.max()) + 1
        return [
            _finding(names, count_figure("different", different[names[0]], events.n))
            for names in groups.values()
            if len(names) > 1
        ]


def _finding(names: list[str], figure: Figure) -> Finding:
    first, second = names[:2]
    values: dict[str, str | int | float] = {"field": second, "other": first}
    if len(names) == 2:
        return Finding(
            check="redundant.pair",
            level="note",
            field=second,
            values=values,
            fix=second,
            evidence=(figure,),
        )
    more = ", ".join(names[:MAX_SHOWN]) + (" …" if len(names) > MAX_SHOWN else "")
    values = {"n": len(names), "fields": more}
    others = None if any("," in name for name in names) else f"ignore:{','.join(names[1:])}"
    return Finding(
        check="redundant.group", level="note", values=values, fix=others, evidence=(figure,)
    )


def _codes(column: Column) -> NDArray[np.int32]:
    """(n,) each value as the number of different values before its first place."""
    if column.dtype == object:
        table: dict[str | None, int] = {}
        return np.array([table.setdefault(v, len(table)) for v in column.tolist()], dtype=np.int32)
    _, first, inverse = np.unique(column, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first), dtype=np.int32)
    return rank[inverse]
