"""Features whose values are codes of a key that the data don't have: A11, A12, A13."""

from __future__ import annotations

import re
from typing import ClassVar

from baluarte.core.chance import count_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Finding

CODE = re.compile(r"[A-Za-z]{1,3}\d{1,4}", re.ASCII)
VERDICT = {-1.0, 0.0, 1.0}
FEWEST = 3  #: values of a code, features of verdicts
MOST = 100
MOSTLY = 0.9


class Codes:
    """Notes the categories whose values are all a letter or three and a number.

    Also where nearly all features are −1, 0 or 1: rules upstream have judged already, and what they
    judged from is lost.
    """

    name: ClassVar[str] = "codes"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """At most one of each."""
        coded, verdicts, numbers = [], 0, 0
        for field in contract.events.features:
            if field.name not in events.columns:
                continue
            column = events.columns[field.name]
            if field.type == "category":
                distinct = {value for value in column.tolist() if value is not None}
                if FEWEST <= len(distinct) <= MOST and all(map(CODE.fullmatch, distinct)):
                    coded.append((field.name, min(distinct), len(distinct)))
            elif field.type in ("number", "integer"):
                known = set(column[column == column].tolist())  # noqa: PLR0124 - not NaN
                numbers += bool(known)
                verdicts += known <= VERDICT and -1.0 in known
        found = []
        if coded:
            values: dict[str, str | int | float] = {
                "n": len(coded), "value": coded[0][1], "field": coded[0][0],
                "fields": ", ".join(name for name, _, _ in coded[:6])
                + (" …" if len(coded) > 6 else ""),
            }  # fmt: skip
            figures = (
                count_figure("coded", len(coded), len(contract.events.features)),
                count_figure("codes", sum(n for _, _, n in coded), events.n),
            )
            found.append(
                Finding(check="codes.opaque", level="note", values=values, evidence=figures)
            )
        if numbers >= FEWEST and verdicts >= MOSTLY * numbers:
            values = {"n": verdicts, "of": numbers}
            figure = count_figure("verdicts", verdicts, numbers)
            found.append(
                Finding(check="codes.verdicts", level="note", values=values, evidence=(figure,))
            )
        return found
