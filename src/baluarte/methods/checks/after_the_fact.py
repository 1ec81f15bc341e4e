"""Features that are known only after the decision: by their name, or by dates after the event."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import ALPHA, auc_by_chance, auc_figure, share_figure
from baluarte.core.column_names import AFTER_TOKENS, tokens
from baluarte.core.contract import Contract
from baluarte.core.event import Column, Events
from baluarte.core.event_value import UNITS_US, ValueRefusedError, converter
from baluarte.core.evidence import Figure, Finding
from baluarte.core.labels import attacks
from baluarte.core.schema import Field
from baluarte.core.telling import missing_in, told_alone

TELLS = 0.55
LATER_US = 1e6  #: a second: clocks that are written to the second differ by as much
OFTEN = 0.01  #: share of its dates after the event that is warned of
SAYS_IT = 0.5  #: difference of the share between attacks and the rest that blocks
NEAR_US = 10 * 365.25 * 86_400e6  #: how far from the event a number may be and still be a time
FEWEST = 20


class AfterTheFact:
    """Blocks, warns and notes.

    Dates after the event's own time block if they come for attacks and not for the rest (or the
    other way round: shares .5 apart), are warned of from one in a hundred and noted below. Times,
    texts that are dates, and numbers that count seconds or parts of them since 1970 are looked at.
    A name such as ``chargeback`` or ``verdict`` is warned of if the field tells of attacks at all,
    else noted.
    """

    name: ClassVar[str] = "after_the_fact"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each a feature, the worst first."""
        labels = attacks(contract, events)
        time = contract.events.by_role("time")
        at = None if time is None else events.columns.get(time.name)
        present = [f for f in contract.events.features if f.name in events.columns]
        found = []
        for field in present:
            column = events.columns[field.name]
            if at is not None:
                found += _dates(field, column, at, labels)
            if tokens(field.name) & AFTER_TOKENS:
                found.append(_named(field, column, labels, len(present)))
        return sorted(found, key=lambda f: ("block", "warn", "note").index(f.level))


def _dates(
    field: Field, column: Column, at: NDArray[np.float64], labels: NDArray[np.int8]
) -> list[Finding]:
    moments = _as_times(field, column, at)
    if moments is None:
        return []
    known = ~np.isnan(moments) & ~np.isnan(at)
    later = known & (np.where(known, moments, 0.0) > np.where(known, at, 0.0) + LATER_US)
    n, n_known = int(later.sum()), int(known.sum())
    if n == 0:
        return []
    hits, rest = labels == 1, labels == 0
    difference = 0.0
    if min(hits.sum(), rest.sum()) >= FEWEST:
        difference = abs(float(later[hits].mean()) - float(later[rest].mean()))
    often = n >= OFTEN * n_known
    return [
        Finding(
            check="after_the_fact.dates",
            level="block" if difference >= SAYS_IT else "warn" if often else "note",
            field=field.name,
            values={"field": field.name, "n": n, "share": n / n_known},
            fix=f"after:{field.name}",
            evidence=(share_figure("later", n, n_known),),
        )
    ]


def _as_times(field: Field, column: Column, at: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(n,) microseconds of UTC where the column holds times, else None."""
    if field.type == "time":
        return column
    if field.type in ("category", "text"):
        return _read_times(field.name, column)
    if field.type not in ("number", "integer"):
        return None
    known = ~np.isnan(column) & ~np.isnan(at)
    if known.sum() < FEWEST:
        return None
    for scale in UNITS_US.values():
        moments = column * scale
        if bool((np.abs(moments[known] - at[known]) < NEAR_US).mean() > 0.99):
            return moments
    return None


def _read_times(name: str, column: Column) -> NDArray[np.float64] | None:
    """The texts as times, None if the first of them are none."""
    convert = converter(Field(name=name, type="time"))
    table: dict[str | None, float] = {None: np.nan}
    for text in dict.fromkeys(column.tolist()):
        if text is None:
            continue
        try:
            value = convert(text)
        except ValueRefusedError:
            return None
        table[text] = float(value) if value is not None else np.nan
    return np.array([table[text] for text in column.tolist()])


def _there(column: Column) -> Figure:
    return share_figure("filled", int((~missing_in(column)).sum()), max(len(column), 1))


def _named(field: Field, column: Column, labels: NDArray[np.int8], tests: int) -> Finding:
    word = sorted(tokens(field.name) & AFTER_TOKENS)[0]
    told = told_alone(column, labels)
    values: dict[str, str | int | float] = {"field": field.name, "word": word}
    if (
        told is None
        or told.auc < TELLS
        or auc_by_chance(told.auc, told.n_attacks, told.n_rest) * tests > ALPHA
    ):
        return Finding(
            check="after_the_fact.name",
            level="note",
            field=field.name,
            values=values,
            fix=f"after:{field.name}",
            evidence=(_there(column),)
            if told is None
            else (auc_figure(told.auc, told.n_attacks, told.n_rest),),
        )
    return Finding(
        check="after_the_fact.name_tells",
        level="warn",
        field=field.name,
        values={**values, "auc": round(told.auc, 4)},
        fix=f"after:{field.name}",
        evidence=(auc_figure(told.auc, told.n_attacks, told.n_rest),),
    )
