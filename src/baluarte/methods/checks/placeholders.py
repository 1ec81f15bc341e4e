"""Values that stand for a missing one: question marks, "unknown", -999, 99999."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.evidence import Finding
from baluarte.core.schema import FieldType

WORDS = frozenset({
    "?", "??", "???", "-", "--", ".", "n/a", "#n/a", "na", "n.a.", "nan", "null", "(null)", "none",
    "nil", "unknown", "undefined", "missing", "not available", "not applicable", "desconocido",
    "sin dato", "s/d",
})  # fmt: skip
BELOW = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)  #: where all others are 0 or more
ABOVE = (9999.0, 99999.0, 999999.0, 9999999.0)  #: where it is far beyond all others
FAR = 2.0
FEWEST_VALUES = 20  #: different values from which one alone outside stands out
#: the same where attacks are what it is compared by; a verdict of -1, 0, 1 is out
FEWEST_OTHERS = 4
LONE_ZERO = 10.0  #: usual steps between the other values that they keep from a zero
MANY = 0.2


class Placeholders:
    """Notes each, and warns where over a fifth of the events have it."""

    name: ClassVar[str] = "placeholders"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, the most frequent first."""
        found = []
        for field in contract.events.features:
            if field.name not in events.columns or not events.n:
                continue
            column = events.columns[field.name]
            if field.type in ("category", "text"):
                shown, n = _word(column)
            elif field.type in ("number", "integer"):
                shown, n = _number(column)
            else:
                continue
            if n == 0:
                continue
            values: dict[str, str | int | float] = {
                "field": field.name, "value": shown, "n": n, "share": n / events.n,
            }  # fmt: skip
            finding = Finding(
                check=self.name,
                level="warn" if n > MANY * events.n else "note",
                fix=_cure(field.name, field.type, column, shown),
                field=field.name,
                values=values,
                evidence=(share_figure("placeholder", n, events.n),),
            )
            found.append((n, finding))
        return [finding for _, finding in sorted(found, key=lambda entry: -entry[0])]


def _cure(name: str, kind: FieldType, column: Column, shown: str) -> str | None:
    """That all such values are missing ones, the commonest first; None where one can't be said."""
    said = [shown]
    if kind in ("category", "text"):
        words = Counter(v for v in column.tolist() if v is not None and _stands(v))
        said = [word for word, _ in words.most_common()]
    if any("," in word or word != word.strip() for word in said):
        return f"trim:{name}" if all("," not in word for word in said) else None
    return f"missing:{name}={','.join(said)}"


def _stands(word: str) -> bool:
    return word.strip().lower() in WORDS


def _word(column: Column) -> tuple[str, int]:
    counts = Counter(v for v in column.tolist() if v is not None and _stands(v))
    if not counts:
        return "", 0
    return max(counts, key=lambda value: counts[value]), sum(counts.values())


def _number(column: Column) -> tuple[str, int]:
    distinct, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    value = _sentinel(distinct, FEWEST_VALUES)
    n = 0 if value is None else int(counts[distinct == value][0])
    return (f"{value:.0f}", n) if n > 1 else ("", 0)


def _sentinel(distinct: Column, fewest: int) -> float | None:
    """The value outside all others that stands for a missing one; None under so many values."""
    if len(distinct) < max(fewest, 2):
        return None
    if distinct[0] in BELOW and distinct[1] >= 0:
        return float(distinct[0])
    if distinct[-1] in ABOVE and distinct[-1] > FAR * distinct[-2]:
        return float(distinct[-1])
    return None


def stand_ins(column: Column, kind: FieldType) -> tuple[str, NDArray[np.bool_]] | None:
    """The commonest value that stands for a missing one, and (n,) where any does; None without.

    A zero does only where all others keep far from it and are the more: one that counts nothing
    has ones and twos beside it, one that measures nothing is the usual case.
    """
    if kind in ("category", "text"):
        shown, n = _word(column)
        if n == 0:
            return None
        said = [value is not None and _stands(value) for value in column.tolist()]
        return shown, np.array(said, dtype=bool)
    if kind not in ("number", "integer"):
        return None
    known = column[~np.isnan(column)]
    distinct = np.unique(known)
    value = _sentinel(distinct, FEWEST_OTHERS + 1)
    if value is None and _lone_zero(known, distinct):
        value = 0.0
    return None if value is None else (f"{value:.0f}", column == value)


def _lone_zero(known: Column, distinct: Column) -> bool:
    """Whether zero is the least value, not the usual one, and far from all others."""
    others = known[known != 0]
    if len(distinct) <= FEWEST_VALUES or distinct[0] != 0 or 2 * len(others) < len(known):
        return False
    low, high = np.quantile(others, (0.25, 0.75))
    step = float(np.median(np.diff(distinct[1:])))
    return bool(distinct[1] >= max((high - low) / 2, LONE_ZERO * step))
