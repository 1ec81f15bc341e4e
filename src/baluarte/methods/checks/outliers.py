"""Numbers far from all others: another unit, a slip of the keyboard, a counter that overflowed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from baluarte.core.chance import share_figure
from baluarte.core.contract import Contract
from baluarte.core.event import Events
from baluarte.core.evidence import Figure, Finding
from baluarte.core.unit_errors import UnitError, unit_error

FAR = 3.5  #: modified z-score, as its authors advise
TIMES = 10.0  #: as far from the median as the next
FEW = 0.005  #: share of the events
FEWEST = 1_000
FEWEST_VALUES = 50


class Outliers:
    """Notes the few numbers that are ten times as far from the median as any other.

    Warns where a few in a hundred are the others times 10, 100 or 1,000, or parts of them: they
    are in another unit (:mod:`baluarte.core.unit_errors`).

    And far out by a robust measure: the distance in units of the median distance. A heavy tail,
    which is usual here, falls off in smaller steps and is no outlier.
    """

    name: ClassVar[str] = "outliers"

    def findings(self, contract: Contract, events: Events) -> list[Finding]:
        """One a feature, in the contract's order."""
        found = []
        for field in contract.events.features:
            if field.type not in ("number", "integer") or field.name not in events.columns:
                continue
            column = events.columns[field.name]
            known = column[~np.isnan(column)]
            if len(known) < FEWEST or len(np.unique(known)) < FEWEST_VALUES:
                continue
            other_unit = unit_error(known)
            if other_unit is not None:
                found.append(_unit(field.name, known, other_unit))
                continue
            n, farthest, next_one, score = _beyond(known)
            if n == 0:
                continue
            found.append(
                Finding(
                    check=self.name,
                    level="note",
                    field=field.name,
                    values={"field": field.name, "n": n, "value": farthest, "next": next_one},
                    fix=_clip(field.name, known, n),
                    evidence=(Figure(name="modified_z", value=score, n=len(known)),),
                )
            )
        return sorted(found, key=lambda finding: finding.level == "note")


def _unit(name: str, known: NDArray[np.float64], found: UnitError) -> Finding:
    """The finding of numbers in another unit; the cure bounds what they do."""
    usual = known[known < found.border] if found.factor > 1 else known[known > found.border]
    return Finding(
        check="outliers.unit",
        level="warn",
        field=name,
        values={
            "field": name, "n": found.n, "share": found.n / found.of, "factor": found.factor,
            "median": found.median, "others": found.median_others,
        },
        fix=_range(name, usual),
        evidence=(
            share_figure("other_unit", found.n, found.of),
            Figure(name="distance", value=found.distance, n=found.n),
        ),
    )  # fmt: skip


def _clip(name: str, known: NDArray[np.float64], n: int) -> str | None:
    """The cure that moves the ``n`` farthest to where the others end."""
    order = np.argsort(np.abs(known - np.median(known)), kind="stable")
    return _range(name, known[order[: len(known) - n]])


def _range(name: str, usual: NDArray[np.float64]) -> str | None:
    low, high = float(usual.min()), float(usual.max())
    return f"clip:{name}={low:g},{high:g}" if float(f"{low:g}") < float(f"{high:g}") else None


def _beyond(values: NDArray[np.float64]) -> tuple[int, float, float, float]:
    """How many stand apart, the farthest, the farthest of the others, and the nearest's z-score.

    Source: Iglewicz & Hoaglin, "How to Detect and Handle Outliers", 1993 (the modified z-score).
    """
    middle = float(np.median(values))
    distance = np.abs(values - middle)
    order = np.argsort(distance, kind="stable")[-max(int(FEW * len(values)), 1) - 1 :]
    tail = distance[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(tail[:-1] > 0, tail[1:] / tail[:-1], 0.0)
    at = int(np.argmax(steps))
    spread = float(np.median(distance)) / 0.6745 or float(distance.mean()) / 0.7979
    score = float(tail[at + 1]) / spread if spread else 0.0
    if steps[at] < TIMES or score < FAR:
        return 0, 0.0, 0.0, 0.0
    return len(tail) - at - 1, float(values[order[-1]]), float(values[order[at]]), score
